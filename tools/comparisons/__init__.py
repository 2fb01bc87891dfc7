"""What tools/compare.py measures: objects of scenes, or classes of images."""

from comparisons import classes, objects
from comparisons.measure import Measure

MEASURES: tuple[Measure, ...] = (objects.MEASURE, classes.MEASURE)

__all__ = ["MEASURES", "Measure"]
