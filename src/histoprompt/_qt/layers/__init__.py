"""The plugin's layers: made, found, watched."""
