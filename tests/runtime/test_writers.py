"""Event files for TensorBoard: what comes back, and errors of writing."""

import errno

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.runtime import writers

pytest.importorskip('tensorflow')


def read_events(directory):
  """Returns (tag, step, value) of all points of curves, and texts by tag."""
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  accumulator = event_accumulator.EventAccumulator(
    str(directory), {event_accumulator.TENSORS: 0}
  )
  accumulator.Reload()
  points, texts = [], {}
  for tag in accumulator.Tags()['tensors']:
    for event in accumulator.Tensors(tag):
      value = tensor_util.make_ndarray(event.tensor_proto)
      if value.dtype == object:
        texts[tag] = value.ravel()[0].decode()
      elif value.ndim == 0:
        points.append((tag, event.step, float(value)))
  return sorted(points), texts


def test_curves_and_text_of_a_cell(tmp_path):
  with writers.open_curve_writer(tmp_path) as writer:
    writer.curve('loss', np.array([0.5, 0.25]))
    writer.summary({'rate': 0.1}, 'some text')
  points, texts = read_events(tmp_path)
  assert ('loss', 0, 0.5) in points
  assert ('loss', 1, 0.25) in points
  assert texts == {'record': 'some text'}


def test_rewriting_replaces_the_files_of_the_cell_only(tmp_path):
  trial = tmp_path / 'trial' / 'events.out.tfevents.1'
  trial.parent.mkdir()
  trial.write_bytes(b'')
  (tmp_path / 'other').write_text('kept')
  for value in (1.0, 2.0):
    with writers.open_curve_writer(tmp_path) as writer:
      writer.curve('loss', [value])
  points, _ = read_events(tmp_path)
  assert points == [('loss', 0, 2.0)]
  assert trial.exists()
  assert (tmp_path / 'other').read_text() == 'kept'


def test_events_of_a_job_that_resumes(tmp_path):
  for steps in (range(3), range(2, 5)):
    writer = writers.EventWriter(tmp_path)
    writer.hparams({'rate': 0.1})
    for step in steps:
      writer.scalars(step, {'loss': step / 2})
    writer.close()
  points, _ = read_events(tmp_path)
  steps = {step for tag, step, _ in points if tag == 'loss'}
  assert steps == set(range(5))
  assert len(list(tmp_path.glob('events.out.*'))) == 2


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path):
  (tmp_path / 'file').write_text('')
  path = tmp_path / 'file' / 'inside'
  with pytest.raises(errors.CannotWrite, match='cannot write .*inside'):
    writers.EventWriter(path).close()
  with (
    pytest.raises(errors.CannotWrite, match='cannot write .*inside'),
    writers.open_curve_writer(path),
  ):
    pass


def test_a_full_disk_while_a_cell_is_written(tmp_path):
  with (
    pytest.raises(errors.CannotWrite, match='No space left on device'),
    writers.open_curve_writer(tmp_path),
  ):
    raise OSError(errno.ENOSPC, 'No space left on device')


@pytest.mark.parametrize(
  ('text', 'reason'),
  [
    ('{{node x}} /a/b; No space left on device\n\tFailed', 'No space left on'),
    ('x; Read-only file system\n', 'Read-only file system'),
    ('something\n  else', 'something else'),
  ],
)
def test_errors_of_tensorflow_are_one_line(tmp_path, text, reason):
  import tensorflow as tf

  with (
    pytest.raises(errors.CannotWrite, match=reason) as caught,
    writers.open_curve_writer(tmp_path),
  ):
    raise tf.errors.UnknownError(None, None, text)
  assert '\n' not in str(caught.value)
  assert 'node' not in str(caught.value)
