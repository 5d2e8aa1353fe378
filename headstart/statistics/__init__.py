"""Records of trainings, and what can be said of them: paired tests, intervals, likelihood."""
