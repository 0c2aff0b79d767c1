"""CLU metric writers for TensorBoard.

CLU writes event files through TensorFlow, which takes seconds to import: so
it is imported when something is there to be written, and never before.
"""

import contextlib
import pathlib
import shutil
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
    directory: of this cell alone; what an interrupted run left there goes.

  Raises:
    InputError: the event files could not be written.
  """
  metric_writers, op_error = _clu()
  try:
    shutil.rmtree(directory, ignore_errors=True)
    writer = metric_writers.SummaryWriter(str(directory))
    yield CurveWriter(writer)
    writer.flush()
    writer.close()
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
