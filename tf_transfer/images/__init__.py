"""Decodes images and resizes them as networks expect."""
