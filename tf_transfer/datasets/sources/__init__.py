"""Finds the examples of a dataset: official layouts, TFDS, folders."""
