"""The Project dock: the slides of a study, what was made of each, and how to go to the next."""
