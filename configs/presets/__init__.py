"""Presets: configs of a job with other defaults."""
