"""What was made of each slide, the table over all of them, and what is kept on this machine."""
