"""The Explore dock: more like this, over slides."""
