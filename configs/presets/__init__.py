"""Studies of configs/base.py with other defaults."""
