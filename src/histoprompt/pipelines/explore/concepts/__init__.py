"""Classes of tiles told by concepts: phrases and measured properties that a person can name."""
