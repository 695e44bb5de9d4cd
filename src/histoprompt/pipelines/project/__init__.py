"""Many slides: a folder with `project.toml` and `slides.csv`, and what was made of each slide."""
