"""The query language of segments (Dataverse page 8.5): its tree, its parser, and its meaning as SQL."""
