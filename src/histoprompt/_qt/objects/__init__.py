"""The Objects dock: committed objects and regions as a list, and their classes."""
