"""Labels that go out as training data."""
