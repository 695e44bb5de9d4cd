"""Which models are in memory: lent, measured, and moved out to make room."""
