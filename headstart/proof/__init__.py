"""Whether transfer helped, and what ships."""
