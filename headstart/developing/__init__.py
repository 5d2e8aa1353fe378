"""A source model of one's own."""
