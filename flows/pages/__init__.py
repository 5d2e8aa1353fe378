"""Pages for one person on 127.0.0.1."""
