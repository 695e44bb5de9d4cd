"""Training of the project's own heads on a frozen encoder; needs torch only inside functions."""
