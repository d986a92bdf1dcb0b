"""Sign-in as Microsoft Entra ID (v1, v2) and AD FS do it."""
