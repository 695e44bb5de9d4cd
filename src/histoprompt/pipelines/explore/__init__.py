"""Tiles and cells compared by what an encoder sees in them: more like this, across slides."""
