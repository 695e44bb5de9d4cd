"""The files labels are exchanged in: one module a format, each with a writer and a reader."""
