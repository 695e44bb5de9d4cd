"""What was done, in a form that can be done again: steps, recipes, and running them on slides."""
