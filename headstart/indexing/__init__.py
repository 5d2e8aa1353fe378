"""From a folder of files to the manifest: layout, inspection, near-duplicates, splits."""
