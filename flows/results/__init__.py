"""What runs left, as text for a terminal."""
