"""Segments of both generations: outbound marketing and real-time journeys (Dataverse page 8)."""
