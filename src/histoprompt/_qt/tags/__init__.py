"""Tags in the window: proposals are made, looked at and answered."""
