"""What tools/compare.py does and measures: objects of scenes, or classes of images."""

UNTRAINED = "untrained"  # in the place of a config
