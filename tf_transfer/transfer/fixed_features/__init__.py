"""Transfers a frozen network by a classifier on its features."""
