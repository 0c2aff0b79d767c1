"""Computes statistics from records."""
