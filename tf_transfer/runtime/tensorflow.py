"""TensorFlow where data or event files need it, and never on the accelerator.

It takes seconds to import: so it is imported by those who use it, when they
do, through this function.
"""

import functools
from typing import Any


@functools.cache
def without_accelerator() -> Any:
  """The module `tensorflow`, which sees no GPU: JAX needs its memory.

  Raises:
    ImportError: it is not installed.
  """
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')
  return tf
