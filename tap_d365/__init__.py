"""Singer tap for Microsoft Dynamics 365."""
