"""Runs the jobs that a config can name, one module each."""
