"""Says how settings look, and writes what panels have in common."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from matplotlib.axes import Axes

from tf_transfer.study import names
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.figures import glyphs

# Records by owner, as {'ours': ..., 'the paper': ...}; the first are
# drawn in full and the others behind them, in gray.
Series = Mapping[str, Sequence[accuracy_table.Record]]

INK = '#1b1b1b'
TIED_COLOR = '#2ca02c'
NO_RECORDS = 'nothing here yet'
MARKERS = 'osD^vP*Xdph<>8'


@dataclasses.dataclass(frozen=True)
class Style:
  """How a setting looks: told apart by mark and, in gray, by lightness."""

  text: str
  color: str
  marker: str
  line: str = '-'


def measured_text(title: str, measure: str) -> str:
  """Adds to a network's title what its ImageNet top-1 is of.

  Args:
    title: of the network.
    measure: as `top1_protocol.measure`; '' for the trained head.
  """
  return f'{title} (top-1: {measure})' if measure else title


def _style(setting: str, color: str, marker: str, line: str = '-') -> Style:
  """Returns a style whose text is the setting's title."""
  return Style(names.setting_text(setting), color, marker, line)


STYLES: Mapping[str, Style] = {
  'logistic_regression': _style('logistic_regression', '#08306b', 'o'),
  'fine_tuned': _style('fine_tuned', '#e6760a', 's'),
  'random_init': _style('random_init', '#86b8dc', '^', '--'),
}


def style_of(setting: str) -> Style:
  """Returns the style of a setting; a plain one for others than the paper's."""
  return STYLES.get(setting) or _style(setting, INK, 'o')


def accuracy_text(datasets: Collection[str]) -> str:
  """Returns what an axis of the accuracies of these datasets is called."""
  return 'Accuracy' + ' (mAP on VOC 2007)' * ('voc2007' in datasets)


def name_text(name: str, max_width: int = 32) -> str:
  """Returns the title of a network or dataset, fit to be drawn.

  Args:
    name: as records have it.
    max_width: in letters; longer titles lose their middle.
  """
  return glyphs.drawable(names.display_name(name), max_width)


def write_remark(axis: Axes, text: str) -> None:
  """Writes a remark, as the correlation, into the corner of a panel."""
  axis.text(
    0.03,
    0.97,
    text,
    transform=axis.transAxes,
    ha='left',
    va='top',
    fontsize=8.5,
    zorder=6,
  )
