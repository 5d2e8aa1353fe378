"""The models that were promoted, and why."""
