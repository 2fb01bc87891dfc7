"""Comparisons: arms x conditions x seeds, a CSV row per run, summarized in tables and plots.

:mod:`.engine` executes the runs of a :class:`.engine.Study` that have no row yet; :mod:`.steps` does each part of a run
once; :mod:`.pretrainings` and :mod:`.initializations` are the studies; :mod:`.summary` writes tables and plots.
"""
