"""Solves L2-regularized logistic regression along a path of penalties."""
