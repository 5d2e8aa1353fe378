"""Fill a folder with a data set, from wherever it comes. No stage uses it."""
