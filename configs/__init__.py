"""Configs: a file a job; presets/ has those with other defaults."""
