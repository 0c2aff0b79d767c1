"""Compiler options."""

import jax
import numpy as np

from tf_transfer.networks import layers
from tf_transfer.runtime import devices


def test_options_that_this_jaxlib_lacks_are_left_out(monkeypatch):
  assert not devices._accepted({'xla_cpu_no_such_option': ''})
  monkeypatch.setattr(devices, '_accepted', lambda options: False)
  assert devices.compiler_options.__wrapped__() == {}


def test_options_keep_convolutions_from_ynnpack():
  x = np.ones((2, 32, 32, 32), np.float32)
  kernel = np.ones((3, 3, 32, 32), np.float32)
  compiled = (
    jax.jit(
      layers.native_convolution, compiler_options=devices.compiler_options()
    )
    .lower(x, kernel)
    .compile()
  )
  assert 'ynn_fusion' not in compiled.as_text()
