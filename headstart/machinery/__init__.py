"""What can never change a result: errors, the run lock, progress, memory. No stage depends on it."""
