"""What is seen of trials while they train: curves, speed, memory, a profile.

Each trial has event files of its own, so that TensorBoard lays their curves
over each other and lists them under HParams.
"""

import dataclasses
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from tf_transfer.runtime import devices, writers

T = TypeVar('T')

# Steps ahead of a profile: the first compile, and fill what is read ahead.
_UNPROFILED = 10
_GIGABYTE = 2**30


@dataclasses.dataclass
class Watcher:
  """What a job shows of all its trials.

  Attributes:
    directory: of the event files and the profile; None: neither is written.
    curves: whether event files are written.
    every: steps between two points of a curve.
    profile_steps: how many steps are profiled, once; 0: none.
    progress: is told of steps that were done, and says how long is left.
  """

  directory: pathlib.Path | None = None
  curves: bool = False
  every: int = 100
  profile_steps: int = 0
  progress: Callable[[int], str] | None = None

  def trials(
    self,
    names: Sequence[str],
    hparams: Sequence[Mapping[str, Any]],
    images: int,
  ) -> 'Watch':
    """Watches trials that train together.

    Args:
      names: of the trials, as folders are called.
      hparams: of each.
      images: of a step of one of them.
    """
    events = []
    if self.curves and self.directory and devices.leading():
      events = [writers.EventWriter(self.directory / name) for name in names]
      for writer, values in zip(events, hparams, strict=True):
        writer.hparams(values)
    return Watch(self, events, images)


class Watch:
  """Watches trials that train together."""

  def __init__(
    self, watcher: Watcher, events: Sequence[writers.EventWriter], images: int
  ):
    self._watcher = watcher
    self._events = events
    self._images = images
    self._profiled = 0  # steps since the first
    self._metrics: list[dict[int, Mapping[str, Any]]] = []
    self._since = time.monotonic()
    self._waited = 0.0
    self._speed = ''
    self._left = ''

  def __enter__(self) -> 'Watch':
    return self

  def __exit__(self, *_) -> None:
    if self._profiled > _UNPROFILED and self._watcher.profile_steps:
      self._end_profile()
    for writer in self._events:
      writer.close()

  def waiting(self, batches: Iterable[T]) -> Iterator[T]:
    """The same batches; how long each is waited for is noted."""
    iterator = iter(batches)
    while True:
      started = time.monotonic()
      try:
        batch = next(iterator)
      except StopIteration:
        return
      self._waited += time.monotonic() - started
      yield batch

  def step(self, done: int, metrics: dict[int, Mapping[str, Any]]) -> None:
    """Takes what a step gave, of each trial that goes on by its position."""
    self._metrics.append(metrics)
    self._profile(metrics)
    if self._watcher.progress is not None:
      self._left = self._watcher.progress(len(metrics))
    if done % self._watcher.every == 0:
      self._report(done)

  def evaluated(
    self, done: int, found: Sequence[Mapping[str, Mapping[str, Any]]]
  ) -> None:
    """Takes the metric on val of each trial by view; none where diverged."""
    for writer, views in zip(self._events, found, strict=False):
      writer.scalars(
        done, {f'validation/{view}': v['value'] for view, v in views.items()}
      )

  def summary(self) -> str:
    """Speed, and how long all will take, in words."""
    return ', '.join(filter(None, (self._speed, self._left)))

  def _report(self, done: int) -> None:
    """Writes the means since the last report, and begins anew."""
    seconds = time.monotonic() - self._since
    steps = sum(map(len, self._metrics))
    shared = {
      'speed/images_per_second': steps * self._images / seconds,
      'speed/share_of_time_waiting_for_data': self._waited / seconds,
      **_memory(),
    }
    self._speed = (
      f'{shared["speed/images_per_second"]:.0f} images/s, '
      f'{shared["speed/share_of_time_waiting_for_data"]:.0%} waiting'
    )
    if self._events:
      for number, values in _means(self._metrics).items():
        self._events[number].scalars(done, {**values, **shared})
    self._metrics, self._waited = [], 0.0
    self._since = time.monotonic()

  def _profile(self, metrics: dict[int, Mapping[str, Any]]) -> None:
    watcher = self._watcher
    if not watcher.profile_steps or not watcher.directory:
      return
    if self._profiled == _UNPROFILED:
      jax.block_until_ready(metrics)
      jax.profiler.start_trace(str(watcher.directory))
    self._profiled += 1
    if self._profiled > _UNPROFILED + watcher.profile_steps:
      jax.block_until_ready(metrics)
      self._end_profile()

  def _end_profile(self) -> None:
    jax.profiler.stop_trace()
    self._watcher.profile_steps = 0


def _means(
  steps: Sequence[dict[int, Mapping[str, Any]]],
) -> dict[int, dict[str, float]]:
  """The mean of each metric of the trials that are still there."""
  host = jax.device_get(list(steps))
  return {
    number: {
      f'training/{name}': float(np.mean([s[number][name] for s in host]))
      for name in last
    }
    for number, last in host[-1].items()
  }


def _memory() -> dict[str, float]:
  """Gigabytes in use: of the first device, if it says so, and of the host."""
  # Kilobytes, but for macOS, which counts bytes.
  unit = 1 if sys.platform == 'darwin' else 1024
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  found = {'memory/host_peak_gib': peak / _GIGABYTE}
  stats = jax.local_devices()[0].memory_stats() or {}
  for name in ('bytes_in_use', 'peak_bytes_in_use'):
    if name in stats:
      label = name.replace('bytes', 'device').replace('_in_use', '_gib')
      found[f'memory/{label}'] = stats[name] / _GIGABYTE
  return found
