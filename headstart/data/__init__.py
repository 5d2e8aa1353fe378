"""Tables of images: the manifest, decoding, samples, folds, labels as numbers."""
