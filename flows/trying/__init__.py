"""Try a model on a page: `headstart try`."""
