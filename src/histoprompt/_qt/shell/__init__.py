"""What docks stand on: session, jobs, messages, keys; knows no subject."""
