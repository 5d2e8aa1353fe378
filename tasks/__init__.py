"""One file per pipeline stage: read files, call the library, write files. Run one with `python -m tasks.<stage>`."""
