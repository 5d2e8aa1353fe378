"""Pretrained networks: where they come from, how they are cut, what a model folder holds."""
