"""The Prompt dock."""
