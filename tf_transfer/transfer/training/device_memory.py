"""Estimates the devices' memory, and advises where it is not enough."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator

import jax

from tf_transfer import errors
from tf_transfer.runtime import units

_EXHAUSTED = 'RESOURCE_EXHAUSTED'
# Share of a device's memory; the allocator cannot join all of its free pieces.
_USABLE = 0.9
# Concurrent trials where the limit is not known, as on a CPU.
_DEFAULT_TRIALS = 8


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
  """Estimates the bytes that a step takes on each device.

  Attributes:
    fixed_bytes: whatever the batch size.
    per_image_bytes: for each image on the device.
  """

  fixed_bytes: float
  per_image_bytes: float

  @classmethod
  def from_measurements(
    cls, measure: Callable[[int], float], images: int
  ) -> 'MemoryEstimate':
    """Extrapolates from two small batches.

    Args:
      measure: maps images on each device to bytes on each.
      images: of the smaller batch; the other is twice as large.
    """
    small, large = measure(images), measure(2 * images)
    per_image_bytes = max(large - small, 0) / images
    return cls(small - images * per_image_bytes, per_image_bytes)

  def max_images(self, limit: float) -> int:
    """Returns how many images fit on each device, possibly 0.

    Args:
      limit: bytes of the device.
    """
    available = _USABLE * limit - self.fixed_bytes
    if not self.per_image_bytes:
      return 0
    return max(0, math.floor(available / self.per_image_bytes))


def program_bytes(compiled: jax.stages.Compiled) -> int:
  """Returns the bytes that a compiled program takes on each device in all."""
  analysis = compiled.memory_analysis()
  return (
    analysis.argument_size_in_bytes
    + analysis.output_size_in_bytes
    + analysis.temp_size_in_bytes
    - analysis.alias_size_in_bytes
  )


def device_limit() -> int | None:
  """Returns the bytes of a device's memory; None if it does not say."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get('bytes_limit')


def num_concurrent_trials(
  step_bytes: int, state_bytes: int, limit: int | None
) -> int:
  """Returns how many trials fit on a device when they take turns, at least 1.

  Args:
    step_bytes: of a step, with the state of the trial whose turn it is.
    state_bytes: of a trial's state.
    limit: bytes of the device; None, where it does not say, gives a few.
  """
  if limit is None:
    return _DEFAULT_TRIALS
  available = _USABLE * limit - step_bytes
  return 1 + max(0, math.floor(available / state_bytes))


def advise(
  estimate: MemoryEstimate,
  limit: int | None,
  batch_size: int,
  num_devices: int,
  num_trials: int,
) -> str:
  """Says what to change so that a step fits.

  Args:
    estimate: of a step, without the other trials.
    limit: bytes of each device; None if that is not known.
    batch_size: images of a step on all devices.
    num_devices: how many there are.
    num_trials: trials that train at once.
  """
  images_per_device = math.ceil(batch_size / num_devices)
  required = estimate.fixed_bytes + images_per_device * estimate.per_image_bytes
  text = (
    f'a step of {batch_size} images takes about {required / units.GIB:.2f} GiB '
    f'on each of {num_devices} devices'
  )
  if limit is None:
    return (
      f'{text}; set a smaller batch_size, or a larger '
      'gradient_accumulation_steps'
    )
  text += f', which has {limit / units.GIB:.2f}'
  max_images = estimate.max_images(limit)
  if max_images >= images_per_device:
    return (
      f'{text}: one trial would fit, {num_trials} trials at once do not: set '
      f'concurrent_trials to less than {num_trials}'
    )
  if not max_images:
    return f'{text}: not even one image fits; set precision to bfloat16'
  max_batch_size = max_images * num_devices
  num_microbatches = next(
    count
    for count in range(1, batch_size + 1)
    if batch_size % (count * num_devices) == 0
    and batch_size // count <= max_batch_size
  )
  return (
    f'{text}: a batch of {max_batch_size} would fit; set batch_size to at most '
    f'that, or gradient_accumulation_steps={num_microbatches} to process the '
    f'{batch_size} images in parts of {batch_size // num_microbatches}'
  )


@contextlib.contextmanager
def report_exhaustion(
  description: str, advise: Callable[[], str]
) -> Iterator[None]:
  """Turns the error of exhausted device memory into one that says what to do.

  Args:
    description: of what ran.
    advise: says what to change; it may compile.

  Raises:
    InputError: the devices' memory ran out.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if _EXHAUSTED not in str(error):
      raise
    exhaustion = error
  else:
    return
  # Raised outside of the handler and without the traceback, both of which
  # hold the arrays that filled the memory.
  exhaustion = exhaustion.with_traceback(None)
  raise errors.InputError(
    f'{description}: out of device memory: {advise()}. Finished trials and '
    'cells are kept.'
  ) from exhaustion
