"""What makes training on a CPU fast: layers computed in another way, the same but for rounding."""
