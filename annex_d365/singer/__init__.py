"""What the Singer SDK leaves open. Overrides of its private parts live here only, each with a test beside the SDK."""
