"""Which source suits the images: scores, ranking, race, depth."""
