"""Opens figures, lays them out and writes them to files.

Importing it chooses Agg, matplotlib's backend that needs no screen.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib

matplotlib.use('Agg')

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_transfer.runtime import files
from tf_transfer.study.figures import glyphs

_RC_PARAMS: Mapping[str, Any] = {
  'font.size': 9,
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.titlesize': 10,
  'legend.frameon': False,
  # Text stays text in PDF, so that it can be searched and edited.
  'pdf.fonttype': 42,
}


@contextlib.contextmanager
def style_context(**params: Any) -> Iterator[None]:
  """Sets how figures look, around all that is drawn.

  Args:
    **params: of matplotlib, with underscores for dots, that differ here.
  """
  changes = {name.replace('_', '.'): value for name, value in params.items()}
  families = list(glyphs.families())
  with plt.rc_context({**_RC_PARAMS, 'font.family': families, **changes}):
    yield


def subplots(
  count: int, num_columns: int, width: float, height: float
) -> tuple[Figure, list[Axes]]:
  """Opens a figure of `count` panels.

  Args:
    count: of panels.
    num_columns: at most so many panels stand side by side.
    width: of a panel, in inches.
    height: of a panel, in inches.

  Returns:
    The figure and the axes of its panels.
  """
  num_columns = min(num_columns, count)
  num_rows = -(-count // num_columns)
  figure, axes = plt.subplots(
    num_rows,
    num_columns,
    figsize=(width * num_columns, height * num_rows),
    squeeze=False,
    layout='constrained',
  )
  for axis in axes.flat[count:]:
    axis.remove()
  return figure, list(axes.flat[:count])


def freeze_layout(figure: Figure) -> None:
  """Computes the layout once and for all: labels are placed by it."""
  figure.draw_without_rendering()
  figure.set_layout_engine('none')


def save(figure: Figure, path: pathlib.Path) -> None:
  """Writes `path`.png and `path`.pdf, and closes the figure.

  Raises:
    InputError: a file could not be written.
  """
  try:
    for suffix, options in (
      ('png', {'dpi': 150}),
      # No date: the same figure is the same file.
      ('pdf', {'metadata': {'CreationDate': None}}),
    ):
      # Not with_suffix, which would cut a name that has a dot.
      with files.atomic_write(path.with_name(f'{path.name}.{suffix}')) as file:
        figure.savefig(file, format=suffix, **options)
  finally:
    plt.close(figure)
