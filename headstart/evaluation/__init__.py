"""The test split, read once."""
