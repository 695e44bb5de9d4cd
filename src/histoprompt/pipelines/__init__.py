"""Use cases, one a file, for the docks and the command line alike."""
