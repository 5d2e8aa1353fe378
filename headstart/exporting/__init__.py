"""Models to take away: one file that needs neither this package nor PyTorch."""
