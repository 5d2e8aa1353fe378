"""The frozen part of a network over a table of images: views, engines, stores."""
