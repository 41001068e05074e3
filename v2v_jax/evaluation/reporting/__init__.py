"""Figures for people: tables, curves, bars, verdicts, the HTML report."""
