"""What the devices' memory holds, and what to say where it is not enough."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator

import jax

from tf_transfer import errors

_EXHAUSTED = 'RESOURCE_EXHAUSTED'
# Of what there is; some of it goes to what the allocator cannot join.
_USABLE = 0.9
_GIGABYTE = 2**30
# Trials at once where the limit is not known, as on a CPU.
_WITHOUT_LIMIT = 8


@dataclasses.dataclass(frozen=True)
class Need:
  """Bytes on each device: fixed ones, and those of each image there."""

  fixed: float
  per_image: float

  @classmethod
  def of(cls, measure: Callable[[int], float], images: int) -> 'Need':
    """From what two small batches take.

    Args:
      measure: images on each device -> bytes on each.
      images: of the smaller; the other is twice as large.
    """
    small, large = measure(images), measure(2 * images)
    per_image = max(large - small, 0) / images
    return cls(small - images * per_image, per_image)

  def fitting(self, limit: float) -> int:
    """How many images fit on each device; 0 where not even one does."""
    left = _USABLE * limit - self.fixed
    return max(0, math.floor(left / self.per_image)) if self.per_image else 0


def of_compiled(compiled: jax.stages.Compiled) -> int:
  """Bytes that a compiled program takes on each device, all in all."""
  found = compiled.memory_analysis()
  return (
    found.argument_size_in_bytes
    + found.output_size_in_bytes
    + found.temp_size_in_bytes
    - found.alias_size_in_bytes
  )


def device_limit() -> int | None:
  """Bytes of a device's memory; None where it does not say."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get('bytes_limit')


def trials_at_once(step: int, state: int, limit: int | None) -> int:
  """How many trials fit on a device when they take turns; at least one.

  Args:
    step: bytes of a step, the state of the one trial that goes included.
    state: bytes of a trial's state.
    limit: bytes of the device; None, where it does not say, is as a few.
  """
  if limit is None:
    return _WITHOUT_LIMIT
  return 1 + max(0, math.floor((_USABLE * limit - step) / state))


def advice(
  need: Need, limit: int | None, batch: int, devices: int, together: int
) -> str:
  """What to change so that a step fits.

  Args:
    need: of a step, without the other trials.
    limit: bytes of each device; None where that is not known.
    batch: images of a step on all devices.
    devices: how many there are.
    together: trials that train at once.
  """
  each = math.ceil(batch / devices)
  wanted = need.fixed + each * need.per_image
  text = (
    f'a step of {batch} images takes about {wanted / _GIGABYTE:.2f} GiB on '
    f'each of {devices} devices'
  )
  if limit is None:
    return (
      f'{text}; set a smaller batch_size, or a larger '
      'gradient_accumulation_steps'
    )
  text += f', which has {limit / _GIGABYTE:.2f}'
  fits = need.fitting(limit)
  if fits >= each:
    return (
      f'{text}: alone it would fit, {together} trials at once do not: set '
      f'concurrent_trials to less than {together}'
    )
  if not fits:
    return f'{text}: not even one image fits; set precision to bfloat16'
  parts = next(
    parts
    for parts in range(1, batch + 1)
    if batch % (parts * devices) == 0 and batch // parts <= fits * devices
  )
  return (
    f'{text}: a batch of {fits * devices} would fit; set batch_size to at most '
    f'that, or gradient_accumulation_steps={parts} to pass {batch} through in '
    f'parts of {batch // parts}'
  )


@contextlib.contextmanager
def explained(description: str, explain: Callable[[], str]) -> Iterator[None]:
  """Makes one clear error of the devices' memory running out.

  Args:
    description: of what ran.
    explain: says what to change; it may compile.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if _EXHAUSTED not in str(error):
      raise
    found = error
  else:
    return
  # Outside of the handler, whose traceback holds what filled the memory.
  found = found.with_traceback(None)
  raise errors.InputError(
    f'{description}: out of device memory: {explain()}. What was finished is '
    'kept.'
  ) from found
