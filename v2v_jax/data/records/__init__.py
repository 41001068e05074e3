"""Prepared data sets: one record a frame."""
