"""Images that came in batches: how well each is known, what the newest did to the others, and whether it is of another kind."""
