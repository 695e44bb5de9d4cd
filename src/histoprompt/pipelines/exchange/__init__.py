"""Labels that go out, as training data and for other programs, and those that come in."""
