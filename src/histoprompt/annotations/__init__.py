"""The labels people make on a slide: stored, journalled and undoable; headless."""
