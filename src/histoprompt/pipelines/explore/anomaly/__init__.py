"""Which tiles are unlike all of a reference that a person chose."""
