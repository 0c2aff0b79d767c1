"""Draws figures from records."""
