"""What is expected of the data, run by Great Expectations."""
