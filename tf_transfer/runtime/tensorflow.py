"""TensorFlow where data or event files need it, and never on the accelerator.

It takes seconds to import: so it is imported by those who use it, when they
do, through this function.
"""

import functools
import os
from typing import Any


@functools.cache
def without_accelerator() -> Any:
  """The module `tensorflow`, which sees no GPU: JAX needs its memory.

  Raises:
    ImportError: it is not installed.
  """
  # What its C++ says at the start helps nobody here: it is about the speed of
  # networks, which TensorFlow does not run for us.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')
  return tf
