"""Transfers by training: fine-tuning, random initialization, pretraining."""
