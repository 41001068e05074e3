"""Unpaired video-to-video translation that keeps meaning and motion."""
