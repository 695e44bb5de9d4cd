"""Stains: optical density, the dyes of one slide, immunostains."""
