"""Vocabularies of one's own: sentences about places on slides bring images and texts together."""
