"""Devices, files, checkpoints, progress and metric writers.

Every other package may use these modules; they use only `errors`.
"""
