"""Shows trials while they train: curves, speed, memory and a profile.

Each trial has event files of its own, so that TensorBoard overlays their curves
and lists the trials under HParams.
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

from tf_transfer.runtime import devices, tensorflow, units, writers

T = TypeVar('T')

# The metrics of a step, by the position of each trial that is still trained.
Metrics = Mapping[int, Mapping[str, Any]]

# Steps before a profile: the first compiles, the others fill the read-ahead.
_UNPROFILED = 10


@dataclasses.dataclass(frozen=True)
class MonitorConfig:
  """Says what is shown of a job's trials.

  Attributes:
    directory: of the event files and the profile; None writes neither.
    curves: whether event files are written.
    log_every: steps between two points of a curve.
    profile_steps: how many steps are profiled, once; 0 profiles none.
  """

  directory: pathlib.Path | None = None
  curves: bool = False
  log_every: int = 100
  profile_steps: int = 0


class JobMonitor:
  """Makes the monitors of a job's groups of trials.

  Attributes:
    progress: is told how many steps were done, and says how long is left; None
      says nothing.
  """

  def __init__(self, config: MonitorConfig):
    self.config = config
    self.progress: Callable[[int], str] | None = None
    self._is_profiled = not (config.profile_steps and config.directory)

  def trials(
    self,
    names: Sequence[str],
    hparams: Sequence[Mapping[str, Any]],
    batch_size: int,
  ) -> 'TrialMonitor':
    """Returns a monitor of trials that train together.

    Args:
      names: of the trials, which name their folders.
      hparams: of each trial.
      batch_size: images of a step of one trial.
    """
    events, directory = [], self.config.directory
    if self.config.curves and directory and devices.is_leader():
      events = [writers.EventWriter(directory / name) for name in names]
      for writer, values in zip(events, hparams, strict=True):
        writer.hparams(values)
    return TrialMonitor(self, events, batch_size)

  def start_profiler(self) -> '_Profiler | None':
    """Returns a profiler, unless the job has been profiled or is not to be."""
    if self._is_profiled:
      return None
    return _Profiler(self.config.directory, self.config.profile_steps)

  def finish_profile(self) -> None:
    """Profiles no further trials."""
    self._is_profiled = True


class TrialMonitor:
  """Monitors trials that train together.

  Measures by hand what `clu.periodic_actions.ReportProgress` does not: it
  counts the steps of the loop, not the images of all trials that still train,
  and it gives the time spent waiting for data since the start, not since the
  last report.
  """

  def __init__(
    self,
    job_monitor: JobMonitor,
    events: Sequence[writers.EventWriter],
    batch_size: int,
  ):
    self._job_monitor = job_monitor
    self._events = events
    self._batch_size = batch_size
    self._profiler = job_monitor.start_profiler()
    self._metrics: list[Metrics] = []
    self._last_report = time.monotonic()
    self._seconds_waited = 0.0
    self._speed = ''
    self._time_left = ''

  def __enter__(self) -> 'TrialMonitor':
    return self

  def __exit__(self, *_: object) -> None:
    if self._profiler is not None and self._profiler.stop():
      self._job_monitor.finish_profile()
    for writer in self._events:
      writer.close()

  def time_waiting(self, batches: Iterable[T]) -> Iterator[T]:
    """Yields the same batches, and measures how long each is waited for."""
    iterator = iter(batches)
    while True:
      started = time.monotonic()
      try:
        batch = next(iterator)
      except StopIteration:
        return
      self._seconds_waited += time.monotonic() - started
      yield batch

  def step(self, step: int, metrics: Metrics) -> None:
    """Takes the metrics of a step.

    Args:
      step: steps that are done.
      metrics: of each trial that is still trained, by its position.
    """
    self._metrics.append(metrics)
    if self._profiler is not None and self._profiler.step(metrics):
      self._job_monitor.finish_profile()
    if self._job_monitor.progress is not None:
      self._time_left = self._job_monitor.progress(len(metrics))
    if step % self._job_monitor.config.log_every == 0:
      self._report(step)

  def evaluated(
    self, step: int, evaluations: Sequence[Mapping[str, Mapping[str, Any]]]
  ) -> None:
    """Takes each trial's metric on val by view; empty where it diverged."""
    for writer, views in zip(self._events, evaluations, strict=False):
      writer.scalars(
        step, {f'validation/{view}': v['value'] for view, v in views.items()}
      )

  def summary(self) -> str:
    """Says the speed, and how long the job will still take."""
    return ', '.join(filter(None, (self._speed, self._time_left)))

  def _report(self, step: int) -> None:
    """Writes means since the last report, and starts the next ones."""
    seconds = time.monotonic() - self._last_report
    num_steps = sum(map(len, self._metrics))
    shared = {
      'speed/images_per_second': num_steps * self._batch_size / seconds,
      'speed/share_of_time_waiting_for_data': self._seconds_waited / seconds,
      **_memory(),
    }
    self._speed = (
      f'{shared["speed/images_per_second"]:.0f} images/s, '
      f'{shared["speed/share_of_time_waiting_for_data"]:.0%} waiting'
    )
    if self._events:
      for number, values in _means(self._metrics).items():
        self._events[number].scalars(step, {**values, **shared})
    self._metrics, self._seconds_waited = [], 0.0
    self._last_report = time.monotonic()


class _Profiler:
  """Profiles some steps by CLU, after the first ones."""

  def __init__(self, directory: pathlib.Path, num_steps: int):
    # CLU imports TensorFlow, which takes seconds.
    tensorflow.import_without_gpu()
    from clu import periodic_actions

    self._profile = periodic_actions.Profile(
      logdir=directory,
      num_profile_steps=num_steps,
      profile_duration_ms=None,
      first_profile=_UNPROFILED,
      every_secs=None,
    )
    self._last_step = _UNPROFILED + num_steps
    self._step = 0

  def step(self, metrics: Metrics) -> bool:
    """Counts a step, starts or ends the profile; whether that ended it."""
    self._step += 1
    if self._step in (_UNPROFILED, self._last_step):
      # The devices run behind, and the profile is of whole steps.
      jax.block_until_ready(metrics)
    self._profile(self._step)
    return self._step == self._last_step

  def stop(self) -> bool:
    """Ends a profile whose trials ended first; whether there was one."""
    # CLU ends a profile when it hears of a step after the last, and otherwise
    # not at all.
    self._profile(self._last_step + 1)
    return self._step >= _UNPROFILED


def _means(steps: Sequence[Metrics]) -> dict[int, dict[str, float]]:
  """Averages each metric over steps, for the trials of the last step."""
  on_host = jax.device_get(list(steps))
  return {
    number: {
      f'training/{name}': float(np.mean([s[number][name] for s in on_host]))
      for name in last
    }
    for number, last in on_host[-1].items()
  }


def _memory() -> dict[str, float]:
  """Returns the GiB in use on the host, and on the first device if known."""
  # Kilobytes, except on macOS, which counts bytes.
  unit = 1 if sys.platform == 'darwin' else 1024
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  memory = {'memory/host_peak_gib': peak / units.GIB}
  stats = jax.local_devices()[0].memory_stats() or {}
  for name in ('bytes_in_use', 'peak_bytes_in_use'):
    if name in stats:
      label = name.replace('bytes', 'device').replace('_in_use', '_gib')
      memory[f'memory/{label}'] = stats[name] / units.GIB
  return memory
