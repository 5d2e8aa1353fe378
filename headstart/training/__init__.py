"""The one training loop, and what it trains: a tail from a source's weights, or a whole network from random ones."""
