"""The commands of tools/evaluate.py, a module each or a few that belong together."""
