"""Units of memory and disk space, and counts in messages."""

GIB = 2**30  # Bytes.


def counted(count: int, noun: str, plural: str = '') -> str:
  """Formats a count with its noun: '1 cell', '2 cells', '1,200 images'.

  Args:
    count: how many.
    noun: what is counted, in the singular.
    plural: of the noun; by default the noun with an s.
  """
  return f'{count:,} {noun if count == 1 else plural or noun + "s"}'
