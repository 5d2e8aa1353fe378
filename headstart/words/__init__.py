"""Every sentence and number format that people read in more than one place."""
