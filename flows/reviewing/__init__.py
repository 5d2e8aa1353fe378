"""A page on this machine to confirm or correct labels that look wrong."""
