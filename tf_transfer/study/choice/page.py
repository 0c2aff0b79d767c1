"""Writes the page of a choice: one HTML file that needs no network.

It shows the verdict, the networks with accuracy and cost, the Pareto front, the
learning curve, what the recommended network gets wrong, images whose labels are
doubtful, duplicates, and the estimators. Figures are SVG that is part of the
page; without JavaScript nothing is missing but sorting and hovering.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import tf_transfer
from tf_transfer import datasets, errors
from tf_transfer.datasets.dataset import listing
from tf_transfer.runtime import files
from tf_transfer.runtime.units import counted
from tf_transfer.study import html
from tf_transfer.study.choice import (
  by_class,
  confusion,
  gallery,
  labels,
  learning_figure,
  network_tables,
  out_of_fold,
  pareto,
  probabilities,
  types,
)

# Bytes. Of a page of 1,000 classes or fewer, and of its thumbnails alone.
MAX_SIZE = 6_000_000
MAX_THUMBNAILS = 2_500_000
_MAX_CLASSES = 1_000  # that are shown one by one
_MAX_NAME = 120  # letters of a class
_MAX_TITLE = 60  # letters of a network in a sentence


def write(
  choice: types.Choice,
  workdir: pathlib.Path,
  report: Sequence[str] | None = None,
) -> pathlib.Path:
  """Writes the page of a choice.

  Args:
    choice: that is shown.
    workdir: the page is choice.html in it.
    report: lines on what is in the dataset, such as the doctor's of a folder.

  Returns:
    The path of the page.

  Raises:
    InputError: it could not be written.
  """
  path = workdir / 'choice.html'
  text = render(choice, report)
  with files.atomic_write(path) as file:
    file.write(text.encode())
  return path


def render(choice: types.Choice, report: Sequence[str] | None = None) -> str:
  """Returns the page as HTML.

  Args:
    choice: that is shown.
    report: as for `write`.
  """
  template = html.environment(__package__).get_template('choice.html.jinja')
  values = _values(choice, report)
  # How large it is, it says itself: the number has as many digits either way.
  size = len(template.render(**values, size='0.00').encode())
  return template.render(**values, size=f'{size / 1e6:.2f}')


def _values(
  choice: types.Choice, report: Sequence[str] | None
) -> dict[str, Any]:
  """Returns what the template shows."""
  curve = choice.learning_curve
  recommended = choice.candidate(choice.verdict.recommended)
  return {
    'choice': choice,
    'recommended_title': labels.shorten(recommended.title, _MAX_TITLE),
    'title_of': {
      c.network: labels.shorten(c.title, _MAX_TITLE) for c in choice.candidates
    },
    'measured_on': measured_on(choice),
    'networks': network_tables.networks(choice),
    'charts': pareto.build(choice),
    'pareto': pareto,
    'learning': learning_figure.build(curve)
    if curve and curve.points
    else None,
    'learning_figure': learning_figure,
    'by_class': _by_class(choice),
    'estimators': network_tables.estimators(choice),
    'not_converged': [c.title for c in choice.candidates if not c.converged],
    'report': report or (),
    'bounds': {'page': MAX_SIZE / 1e6, 'classes': _MAX_CLASSES},
    'version': tf_transfer.__version__,
  }


def measured_on(choice: types.Choice) -> str:
  """Says on which images accuracies are measured, and by which classifiers."""
  count = f'{len(choice.images):,}'
  folds = len(np.unique(choice.folds))
  if folds < 2:
    return (
      f'the {count} images of {choice.images.name}; the classifiers that '
      'predict them were not fitted on them'
    )
  return (
    f'{count} images, each predicted out of fold: by a classifier that was '
    f'fitted on the other {folds - 1} of {folds} folds'
  )


@dataclasses.dataclass(frozen=True)
class _ByClass:
  """Holds what the page says of classes and single images.

  Attributes:
    names: of the classes, as they are shown.
    matrix: the confusion matrix; None if there are too many classes.
    data: of it, for the script.
    rows: the accuracy of each class, the worst first.
    num_left_out: how many classes are not shown.
    galleries: of mistakes, doubtful labels and duplicates.
    temperature: by which scores are divided.
    at_bound: whether the best temperature is beyond those that are tried.
    num_tied: how many networks could doubt labels.
    num_averaged: how many do, since their probabilities are calibrated.
    not_doubted: says which labels cannot be doubted; '' if all can.
  """

  names: Sequence[str]
  matrix: confusion.Matrix | None
  data: Mapping[str, Any]
  rows: Sequence[by_class.ClassAccuracy]
  num_left_out: int
  galleries: gallery.Galleries
  temperature: float
  at_bound: bool
  num_tied: int
  num_averaged: int
  not_doubted: str


def _by_class(choice: types.Choice) -> _ByClass | None:
  """Looks at single classes and images.

  None where images have several classes, or were not predicted.
  """
  truth = np.asarray(choice.images.labels)
  recommended = choice.candidate(choice.verdict.recommended)
  if truth.ndim != 1 or len(recommended.scores) != len(truth):
    return None
  names = _class_names(choice.dataset)
  calibrated = probabilities.calibrate(truth, recommended.scores)
  tied = [
    candidate.scores
    for candidate in map(choice.candidate, choice.verdict.tied)
    if len(candidate.scores) == len(truth)
  ] or [recommended.scores]
  averaged, num_averaged = probabilities.average(truth, tied)
  is_known = out_of_fold.has_fitted_label(truth, recommended.scores)
  galleries = gallery.build(
    choice.dataset,
    choice.images,
    recommended.predictions,
    calibrated.values,
    averaged,
    is_known & (num_averaged > 0),
    MAX_THUMBNAILS,
  )
  counts = confusion.count(truth, recommended.predictions, len(names))
  matrix = None
  if len(names) <= _MAX_CLASSES:
    matrix = confusion.build(truth, recommended.predictions, names)
  rows = by_class.build(counts)
  return _ByClass(
    names=names,
    matrix=matrix,
    data=_matrix_data(matrix, counts, names),
    rows=rows[:_MAX_CLASSES],
    num_left_out=max(len(rows) - _MAX_CLASSES, 0),
    galleries=galleries,
    temperature=calibrated.temperature,
    at_bound=calibrated.at_bound,
    num_tied=len(tied),
    num_averaged=num_averaged,
    not_doubted=_not_doubted(truth[~is_known], names),
  )


def _not_doubted(labels: np.ndarray, names: Sequence[str]) -> str:
  """Says which labels cannot be doubted: those no classifier was fitted on.

  Args:
    labels: int [K], of the images.
    names: of the classes.
  """
  if not len(labels):
    return ''
  classes = np.unique(labels)
  return (
    f'{counted(len(labels), "image")} of '
    f'{counted(len(classes), "class", "classes")} cannot be judged, since the '
    'classifier was fitted on no image of the class: '
    f'{listing(names[i] for i in classes)}.'
  )


def _class_names(dataset: datasets.Dataset) -> list[str]:
  """Returns the names of the classes, printable and of bounded length."""
  return [
    labels.shorten(errors.printable(name), _MAX_NAME)
    for name in dataset.classes
  ]


def _matrix_data(
  matrix: confusion.Matrix | None, counts: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
  """Returns what the script says of the cells of the confusion matrix."""
  if matrix is None:
    return {}
  return {
    'names': [names[label] for label in matrix.order],
    'images': counts.sum(axis=1)[matrix.order].tolist(),
    'entries': matrix.entries,
    'complete': matrix.complete,
    'cell': matrix.cell,
    'left': matrix.left,
    'top': matrix.top,
  }
