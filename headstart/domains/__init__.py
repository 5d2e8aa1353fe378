"""Two domains: labelled images of one, unlabelled images of the other; which methods carry the labels over, and whether to trust them."""
