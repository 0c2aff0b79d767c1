"""Figures of what the settings of pretraining do to transfer (3, 4 and 5)."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib import ticker

from tf_transfer.networks import recipe
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.figures import panels as panels_lib

_MARKERS = 'osD^vP*X'
_CONFIGURATIONS = tuple(recipe.CONFIGURATIONS)


@dataclasses.dataclass(frozen=True)
class Configuration:
  """A network pretrained in one of the configurations C1 to C5.

  Attributes:
    network: its name.
    configuration: 'C1' to 'C5'.
    mean_log_odds: over the datasets it was transferred to.
    top1: on what it was pretrained on, in 0 to 1; on ImageNet, of the paper's.
    error: half the 95 % interval of mean_log_odds; 0 is not known.
    top1_error: of top1, likewise.
  """

  network: str
  configuration: str
  mean_log_odds: float
  top1: float
  error: float = 0.0
  top1_error: float = 0.0


def training_settings(
  series: Mapping[str, Sequence[Configuration]],
  setting: str,
  path: pathlib.Path,
  *,
  trained_on: str = 'imagenet',
  note: str = '',
) -> None:
  """Figures 3 and 5: transfer of networks pretrained in C1 to C5.

  Args:
    series: a row of panels each, by whose they are; the last row's accuracies
      are on ImageNet where there are several, as the paper's.
    setting: in which the networks were transferred.
    path: of the files, without .png and .pdf.
    trained_on: the dataset that the first series was pretrained on.
    note: written above the figure.

  Raises:
    InputError: a file could not be written.
  """
  rows = len(series)
  with plt.rc_context(axes_lib.STYLE):
    figure = plt.figure(
      figsize=(9.6, 4.3 * rows + 0.3 * bool(note)), layout='constrained'
    )
    if note:
      figure.suptitle(note, fontsize=9, fontweight='bold')
    parts = figure.subfigures(rows, 1, squeeze=False).flat
    for number, (part, (name, points)) in enumerate(
      zip(parts, series.items(), strict=True)
    ):
      dataset = 'imagenet' if number else trained_on
      _row(part, points, name if rows > 1 else '', setting, dataset)
    axes_lib.save(figure, path)


def _row(
  part,
  points: Sequence[Configuration],
  name: str,
  setting: str,
  dataset: str,
) -> None:
  """Transfer on the left, accuracy where it was pretrained on the right."""
  left, right = part.subplots(1, 2)
  networks = list(dict.fromkeys(p.network for p in points))
  shades = plt.get_cmap('viridis')(np.linspace(0, 0.85, len(networks)))
  for network, shade, marker in zip(networks, shades, _MARKERS, strict=False):
    own = [p for p in points if p.network == network]
    x = [_CONFIGURATIONS.index(p.configuration) for p in own]
    style = {'color': shade, 'marker': marker, 'markersize': 5}
    for axis, values, errors in (
      (left, [p.mean_log_odds for p in own], [p.error for p in own]),
      (right, [p.top1 for p in own], [p.top1_error for p in own]),
    ):
      axis.errorbar(
        x,
        values,
        yerr=errors if any(errors) else None,
        capsize=2,
        elinewidth=0.8,
        label=panels_lib.display_name(network),
        **style,
      )
  prefix = f'{name}: ' if name else ''
  text = panels_lib.STYLES[setting].text.lower()
  left.set_title(f'{prefix}transfer, {text}')
  left.set_ylabel('Mean log-odds over datasets')
  on = 'ImageNet' if dataset == 'imagenet' else panels_lib.display_name(dataset)
  right.set_title(f'{prefix}{on}, where it was pretrained')
  right.set_ylabel('Top-1 accuracy')
  digits = axes_lib.percent_digits(right.get_yticks())
  right.yaxis.set_major_formatter(ticker.PercentFormatter(1, digits))
  for axis in (left, right):
    axis.set_xticks(range(len(_CONFIGURATIONS)), _CONFIGURATIONS)
    axis.grid(axis='y', alpha=0.25)
    axis.set_xlim(-0.3, len(_CONFIGURATIONS) - 0.7)
    _tell_factors(axis, axis is left)
  handles, texts = left.get_legend_handles_labels()
  part.legend(
    handles,
    texts,
    loc='outside lower center',
    ncols=max(1, len(networks)),
    fontsize=8,
  )


def _tell_factors(axis, headed: bool) -> None:
  """Writes below the ticks what is on in each configuration."""
  for row, (factor, name) in enumerate(recipe.FACTORS.items()):
    texts = [
      (at, '+' if on[factor] else '−', 'center')
      for at, on in enumerate(recipe.CONFIGURATIONS.values())
    ]
    if headed:
      texts.append((-0.4, name, 'right'))
    for at, text, alignment in texts:
      axis.annotate(
        text,
        (at, 0),
        xycoords=axis.get_xaxis_transform(),
        xytext=(0, -23 - 11 * row),
        textcoords='offset points',
        ha=alignment,
        va='center',
        fontsize=8.5,
        annotation_clip=False,
      )


@dataclasses.dataclass(frozen=True)
class Embedding:
  """Features of images in the plane.

  Attributes:
    title: whose features they are.
    points: [N, 2].
    labels: int [N], of the classes that are shown.
    neighbors: share of the images whose nearest neighbor, by the features
      and not in the plane, is of their class.
  """

  title: str
  points: np.ndarray
  labels: np.ndarray
  neighbors: float


def embeddings(
  panels: Sequence[Embedding],
  classes: Sequence[str],
  path: pathlib.Path,
  note: str = '',
) -> None:
  """Figure 4: t-SNE of a dataset's features, a panel for each network.

  Args:
    panels: of the same images.
    classes: names; a label is an index into them.
    path: of the files, without .png and .pdf.
    note: written above the figure.

  Raises:
    InputError: a file could not be written.
  """
  shown = sorted(set(panels[0].labels.tolist()))
  colors = plt.get_cmap('tab10')
  with plt.rc_context(axes_lib.STYLE):
    figure, axes = plt.subplots(
      1,
      len(panels),
      figsize=(4.4 * len(panels), 4.9),
      squeeze=False,
      layout='constrained',
    )
    if note:
      figure.suptitle(note, fontsize=9, fontweight='bold')
    for axis, panel in zip(axes.flat, panels, strict=True):
      for number, label in enumerate(shown):
        own = panel.points[panel.labels == label]
        axis.scatter(
          *own.T,
          s=14,
          color=colors(number % 10),
          marker=_MARKERS[number % len(_MARKERS)],
          edgecolor='white',
          linewidths=0.3,
          label=classes[label],
        )
      axis.set_title(
        f'{panel.title}\nnearest neighbor of the same class: '
        f'{panel.neighbors:.0%}'
      )
      axis.set_xticks([])
      axis.set_yticks([])
      axis.set_box_aspect(1)
      axis.spines[:].set_visible(True)
      axis.spines[:].set_color('0.7')
    handles, texts = axes.flat[0].get_legend_handles_labels()
    figure.legend(
      handles, texts, loc='outside lower center', ncols=5, fontsize=8
    )
    axes_lib.save(figure, path)
