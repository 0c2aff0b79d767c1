"""Units of memory and disk space."""

GIB = 2**30  # Bytes.
