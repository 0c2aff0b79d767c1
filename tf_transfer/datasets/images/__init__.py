"""Decodes, resizes, augments and hashes images."""
