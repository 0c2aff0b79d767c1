"""Imports TensorFlow on demand, and never lets it use the accelerator.

TensorFlow takes seconds to import. Only code that reads images or writes event
files needs it, and imports it through this module.
"""

import functools
import os
from typing import Any


@functools.cache
def import_without_gpu() -> Any:
  """Imports TensorFlow and hides all GPUs from it: JAX needs their memory.

  Returns:
    The module `tensorflow`.

  Raises:
    ImportError: TensorFlow is not installed.
  """
  # TensorFlow's C++ code logs hints at startup about the speed of networks,
  # which TensorFlow does not run here.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')
  return tf
