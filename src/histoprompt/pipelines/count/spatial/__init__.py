"""How the cells of a count lie: neighbours, distances, cross-K, density."""
