"""Configs: a file a job; presets/ holds studies with other defaults."""
