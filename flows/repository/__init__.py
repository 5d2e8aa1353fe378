"""The only callers of the dvc and git commands, and of child processes."""
