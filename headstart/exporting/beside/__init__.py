"""What lies beside an exported model, and is copied there as it is."""
