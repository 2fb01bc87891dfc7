"""Comparisons: arms x conditions x seeds, a CSV row per run, and what the rows say in tables and plots.

:mod:`.engine` runs what a :class:`.engine.Study` lists and has no row yet; :mod:`.steps` does each part of a run once;
:mod:`.pretrainings` and :mod:`.initializations` are the studies; :mod:`.summary` writes tables and plots.
"""
