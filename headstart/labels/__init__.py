"""Labels that look wrong: single images, and whole blocks of consecutive files."""
