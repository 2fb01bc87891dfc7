"""Metrics of 3D detectors: pure functions on boxes."""
