"""The commands of tools/evaluate.py, one module each, or one for a few related ones."""
