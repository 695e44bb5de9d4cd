"""How good a model is on data with known answers."""
