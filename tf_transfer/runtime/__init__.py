"""Devices, files, progress and metric writers: used by all, using none."""
