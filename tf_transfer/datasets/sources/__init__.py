"""Reads datasets from their official files, from TFDS and from folders."""
