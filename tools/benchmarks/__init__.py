"""What :mod:`tools.benchmark` measures: one module per path, whose ``comparisons()`` are timed in turn."""
