"""Augments, hashes and caches the images of datasets."""
