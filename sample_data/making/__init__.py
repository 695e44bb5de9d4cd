"""How the sample slide is made: where things lie, how they look, and how light passes them."""
