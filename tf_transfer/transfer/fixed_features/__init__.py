"""Transfers by a classifier on the features of a frozen network."""
