"""CLU metric writers for TensorBoard.

CLU writes event files through TensorFlow, which takes seconds to import: so
it is imported when something is there to be written, and never before.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

from tf_transfer.runtime import files, tensorflow


def _clu():
  """CLU's metric writers, with TensorFlow kept off the accelerator."""
  tf = tensorflow.without_accelerator()
  from clu import metric_writers

  return metric_writers, tf.errors.OpError


@contextlib.contextmanager
def rewrite(directory: pathlib.Path) -> Iterator['CurveWriter']:
  """Opens the event files of one cell anew.

  Args:
    directory: of this cell alone; event files that an interrupted run left
      there go, those of its folders stay.

  Raises:
    InputError: the event files could not be written.
  """
  metric_writers, op_error = _clu()
  with _problems(directory, op_error):
    for path in directory.glob('events.out.*'):
      path.unlink()
    writer = metric_writers.SummaryWriter(str(directory))
    yield CurveWriter(writer)
    writer.flush()
    writer.close()


@contextlib.contextmanager
def _problems(directory: pathlib.Path, op_error: type) -> Iterator[None]:
  """Says of what went wrong that it was in writing there."""
  try:
    yield
  except op_error as error:
    problem = OSError(error.error_code, error.message)
    raise files.write_problem(directory, problem) from error
  except OSError as error:
    raise files.write_problem(directory, error) from error


class CurveWriter:
  """Writes curves and hyperparameters through a CLU writer."""

  def __init__(self, writer):
    self._writer = writer

  def curve(self, name: str, values) -> None:
    """Writes one number a step, the steps counted from 0."""
    for step, value in enumerate(values):
      self._writer.write_scalars(step, {name: float(value)})

  def summary(self, hparams: Mapping[str, object], text: str) -> None:
    """Writes what TensorBoard shows under HParams and Text."""
    self._writer.write_hparams(dict(hparams))
    self._writer.write_texts(0, {'record': text})


class Events:
  """Event files that are added to while a job runs.

  A job that goes on after being killed adds another file: of steps that are
  in both, TensorBoard shows the later.
  """

  def __init__(self, directory: pathlib.Path):
    """Opens a directory; may raise InputError, as all methods may."""
    self._directory = directory
    metric_writers, self._op_error = _clu()
    with self._problems():
      self._writer = metric_writers.SummaryWriter(str(directory))

  def _problems(self):
    return _problems(self._directory, self._op_error)

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Writes points of curves."""
    with self._problems():
      self._writer.write_scalars(step, dict(values))

  def hparams(self, values: Mapping[str, object]) -> None:
    """Writes what TensorBoard shows under HParams."""
    with self._problems():
      self._writer.write_hparams(dict(values))

  def close(self) -> None:
    """Writes what is not yet on disk."""
    with self._problems():
      self._writer.flush()
      self._writer.close()
