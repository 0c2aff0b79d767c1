"""Writes event files for TensorBoard with CLU.

CLU imports TensorFlow, which takes seconds. It is imported only when there is
something to write.
"""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tf_transfer.runtime import files, tensorflow

_SYSTEM_ERRORS = (
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EFBIG,
  errno.EROFS,
  errno.EACCES,
  errno.ENOTDIR,
  errno.EMFILE,
)


def _import_clu() -> tuple[Any, type[Exception]]:
  """Imports CLU with TensorFlow kept off the accelerator.

  Returns:
    The module `clu.metric_writers`, and the base class of TensorFlow's errors.
  """
  tf = tensorflow.import_without_gpu()
  from clu import metric_writers

  return metric_writers, tf.errors.OpError


@contextlib.contextmanager
def open_curve_writer(directory: pathlib.Path) -> Iterator['CurveWriter']:
  """Opens the event files of one cell, replacing those of an earlier run.

  Args:
    directory: of this cell alone. Event files in it are removed; those in
      directories below it stay.

  Raises:
    InputError: the event files could not be written.
  """
  metric_writers, op_error = _import_clu()
  with _write_errors(directory, op_error):
    for path in directory.glob('events.out.*'):
      path.unlink()
    writer = metric_writers.SummaryWriter(str(directory))
    yield CurveWriter(writer)
    writer.flush()
    writer.close()


@contextlib.contextmanager
def _write_errors(
  directory: pathlib.Path, op_error: type[Exception]
) -> Iterator[None]:
  """Turns errors of writing into InputErrors that name the directory."""
  try:
    yield
  except op_error as error:
    raise files.write_error(directory, _system_error(error)) from error
  except OSError as error:
    raise files.write_error(directory, error) from error


def _system_error(error: Exception) -> OSError:
  """Returns the system's error that one of TensorFlow's is about.

  TensorFlow has codes of its own; its text has the system's words.
  """
  text = str(error.message)
  for number in _SYSTEM_ERRORS:
    if os.strerror(number) in text:
      return OSError(number, os.strerror(number))
  return OSError(errno.EIO, ' '.join(text.split()))


class CurveWriter:
  """Writes whole curves and hyperparameters of a finished cell."""

  def __init__(self, writer: Any):
    """Wraps a writer of CLU."""
    self._writer = writer

  def curve(self, name: str, values: Sequence[float]) -> None:
    """Writes one value per step; steps count from 0."""
    for step, value in enumerate(values):
      self._writer.write_scalars(step, {name: float(value)})

  def summary(self, hparams: Mapping[str, object], text: str) -> None:
    """Writes what TensorBoard shows under HParams and Text."""
    self._writer.write_hparams(dict(hparams))
    self._writer.write_texts(0, {'record': text})


class EventWriter:
  """Writes event files while a job runs.

  A job that resumes adds another file. If both files have a step, TensorBoard
  shows the later one.
  """

  def __init__(self, directory: pathlib.Path):
    """Opens a directory.

    Raises:
      InputError: it cannot be written. All methods may raise this.
    """
    self._directory = directory
    metric_writers, self._op_error = _import_clu()
    with self._write_errors():
      self._writer = metric_writers.SummaryWriter(str(directory))

  def _write_errors(self) -> contextlib.AbstractContextManager[None]:
    """Turns errors of writing into InputErrors that name the directory."""
    return _write_errors(self._directory, self._op_error)

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Writes one point of each named curve."""
    with self._write_errors():
      self._writer.write_scalars(step, dict(values))

  def hparams(self, values: Mapping[str, object]) -> None:
    """Writes what TensorBoard shows under HParams."""
    with self._write_errors():
      self._writer.write_hparams(dict(values))

  def close(self) -> None:
    """Writes what is buffered and closes the files."""
    with self._write_errors():
      self._writer.flush()
      self._writer.close()
