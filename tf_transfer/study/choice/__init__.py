"""Chooses a network for a dataset, and shows what the choice rests on."""
