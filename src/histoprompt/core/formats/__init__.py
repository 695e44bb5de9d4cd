"""One module a family of file formats; `core.slide_io.open_slide` chooses among them."""
