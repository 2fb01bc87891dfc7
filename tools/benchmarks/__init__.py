"""What :mod:`tools.benchmark` measures: a module a path, whose ``comparisons()`` are timed as they come."""
