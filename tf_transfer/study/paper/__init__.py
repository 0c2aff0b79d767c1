"""Compares with the paper's published numbers."""
