"""The kinds of source models, a file each."""
