"""Configurations; ``default.py`` holds every field."""
