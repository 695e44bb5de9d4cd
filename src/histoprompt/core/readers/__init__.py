"""Readers of slides, a module a family of files; `open.open_slide` chooses among them."""
