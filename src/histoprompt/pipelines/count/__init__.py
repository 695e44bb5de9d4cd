"""Count the cells of a region or slide, and keep what was counted."""
