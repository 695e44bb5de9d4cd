"""Names, numbers and texts of people and files, made fit to be used and shown."""
