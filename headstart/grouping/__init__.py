"""Groups of images that have no labels: how they are found, how many there are, which source sees them best, and how sure that is."""
