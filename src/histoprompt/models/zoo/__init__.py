"""One file a model family: its cards and how to load them."""
