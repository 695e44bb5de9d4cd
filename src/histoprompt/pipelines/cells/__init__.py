"""Find all cells and measure them."""
