"""Command-line tools that are used from a checkout."""
