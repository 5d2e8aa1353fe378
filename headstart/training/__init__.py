"""The one training loop, and what it trains: a network from a source's weights or from random ones."""
