"""Segmentation without a network: thresholds, outlines, random walks."""
