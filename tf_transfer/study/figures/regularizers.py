"""Draws what the settings of pretraining do to transfer: figures 3, 4, 5."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import sklearn.manifold
import sklearn.neighbors
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from tf_transfer.errors import InputError
from tf_transfer.networks import recipe
from tf_transfer.runtime.units import counted
from tf_transfer.study.figures import axes as axes_lib
from tf_transfer.study.figures import canvas, glyphs, style

_CLASS_LETTERS = 20  # That an entry of the legend has room for.
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
  """Draws figure 3 or 5: transfer of networks pretrained in C1 to C5.

  Args:
    series: a row of panels each, by owner; the last row's accuracies
      are on ImageNet where there are several, as the paper's.
    setting: in which the networks were transferred.
    path: of the files, without .png and .pdf.
    trained_on: the dataset that the first series was pretrained on.
    note: written above the figure.

  Raises:
    InputError: a file could not be written.
  """
  num_rows = len(series)
  with canvas.style_context():
    figure = plt.figure(
      figsize=(9.6, 4.3 * num_rows + 0.3 * bool(note)), layout='constrained'
    )
    _write_note(figure, note)
    rows = figure.subfigures(num_rows, 1, squeeze=False).flat
    for number, (row, (name, points)) in enumerate(
      zip(rows, series.items(), strict=True)
    ):
      dataset = 'imagenet' if number else trained_on
      _draw_row(row, points, name if num_rows > 1 else '', setting, dataset)
    canvas.save(figure, path)


def _write_note(figure: Figure, note: str) -> None:
  """Writes a note, if there is one, above a figure."""
  if note:
    figure.suptitle(glyphs.drawable(note, 120), fontsize=9, fontweight='bold')


def _draw_row(
  row: SubFigure,
  points: Sequence[Configuration],
  name: str,
  setting: str,
  dataset: str,
) -> None:
  """Draws transfer on the left, accuracy where it was pretrained on the right.

  Args:
    row: of the figure.
    points: of one series.
    name: of the series; '' where it is the only one.
    setting: in which the networks were transferred.
    dataset: on which they were pretrained.
  """
  left, right = row.subplots(1, 2)
  networks = list(dict.fromkeys(p.network for p in points))
  shades = plt.get_cmap('viridis')(np.linspace(0, 0.85, len(networks)))
  for network, shade, marker in zip(networks, shades, _MARKERS, strict=False):
    own_points = [p for p in points if p.network == network]
    look = {'color': shade, 'marker': marker, 'markersize': 5}
    _draw_network(left, right, own_points, look)
  prefix = f'{name}: ' if name else ''
  text = style.style_of(setting).text.lower()
  left.set_title(f'{prefix}transfer, {text}')
  left.set_ylabel('Mean log-odds over datasets')
  title = 'ImageNet' if dataset == 'imagenet' else style.name_text(dataset)
  right.set_title(f'{prefix}{title}, where it was pretrained')
  right.set_ylabel('Top-1 accuracy')
  decimals = axes_lib.percent_decimals(right.get_yticks())
  right.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals))
  for axis in (left, right):
    axis.set_xticks(range(len(_CONFIGURATIONS)), _CONFIGURATIONS)
    axis.grid(axis='y', alpha=0.25)
    axis.set_xlim(-0.3, len(_CONFIGURATIONS) - 0.7)
    _write_factors(axis, with_names=axis is left)
  handles, texts = left.get_legend_handles_labels()
  row.legend(
    handles,
    texts,
    loc='outside lower center',
    ncols=max(1, len(networks)),
    fontsize=8,
  )


def _draw_network(
  left: Axes,
  right: Axes,
  points: Sequence[Configuration],
  look: Mapping[str, object],
) -> None:
  """Draws the configurations of one network into both panels of a row."""
  x = [_CONFIGURATIONS.index(p.configuration) for p in points]
  for axis, values, errors in (
    (left, [p.mean_log_odds for p in points], [p.error for p in points]),
    (right, [p.top1 for p in points], [p.top1_error for p in points]),
  ):
    axis.errorbar(
      x,
      values,
      yerr=errors if any(errors) else None,
      capsize=2,
      elinewidth=0.8,
      label=style.name_text(points[0].network),
      **look,
    )


def _write_factors(axis: Axes, *, with_names: bool) -> None:
  """Writes below the ticks what is on in each configuration."""
  for row, (factor, name) in enumerate(recipe.FACTORS.items()):
    texts = [
      (column, '+' if on[factor] else '−', 'center')
      for column, on in enumerate(recipe.CONFIGURATIONS.values())
    ]
    if with_names:
      texts.append((-0.4, name, 'right'))
    for x, text, alignment in texts:
      axis.annotate(
        text,
        (x, 0),
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


def embed(
  values: np.ndarray, labels: np.ndarray, title: str, seed: int
) -> Embedding:
  """Embeds features in the plane with t-SNE.

  Args:
    values: [N, D] features.
    labels: int [N].
    title: of the panel.
    seed: decides the result.

  Raises:
    InputError: there are fewer than four images.
  """
  num_images = len(values)
  if num_images < 4:
    raise InputError(
      f'{title}: {counted(num_images, "image")} of 4, too few for t-SNE'
    )
  points = sklearn.manifold.TSNE(
    init='pca', perplexity=min(30, (num_images - 1) / 3), random_state=seed
  ).fit_transform(values)
  index = sklearn.neighbors.NearestNeighbors(n_neighbors=1).fit(values)
  nearest = index.kneighbors(return_distance=False)[:, 0]
  return Embedding(
    title, points, labels, float(np.mean(labels == labels[nearest]))
  )


def embeddings(
  panels: Sequence[Embedding],
  classes: Sequence[str],
  path: pathlib.Path,
  note: str = '',
) -> None:
  """Draws figure 4: t-SNE of a dataset's features, a panel for each network.

  Args:
    panels: of the same images.
    classes: names; a label is an index into them.
    path: of the files, without .png and .pdf.
    note: written above the figure.

  Raises:
    InputError: a file could not be written.
  """
  with canvas.style_context():
    figure, axes = plt.subplots(
      1,
      len(panels),
      figsize=(4.4 * len(panels), 4.9),
      squeeze=False,
      layout='constrained',
    )
    _write_note(figure, note)
    shown = sorted(set(panels[0].labels.tolist()))
    for axis, panel in zip(axes.flat, panels, strict=True):
      _draw_embedding(axis, panel, shown, classes)
    handles, texts = axes.flat[0].get_legend_handles_labels()
    figure.legend(
      handles, texts, loc='outside lower center', ncols=5, fontsize=8
    )
    canvas.save(figure, path)


def _draw_embedding(
  axis: Axes,
  panel: Embedding,
  shown: Sequence[int],
  classes: Sequence[str],
) -> None:
  """Draws the images of one panel, a color and mark per class."""
  colors = plt.get_cmap('tab10')
  for number, label in enumerate(shown):
    axis.scatter(
      *panel.points[panel.labels == label].T,
      s=14,
      color=colors(number % 10),
      marker=_MARKERS[number % len(_MARKERS)],
      edgecolor='white',
      linewidths=0.3,
      label=glyphs.drawable(classes[label], _CLASS_LETTERS),
    )
  title = glyphs.drawable(panel.title, 44)
  axis.set_title(
    f'{title}\nnearest neighbor of the same class: {panel.neighbors:.0%}'
  )
  axis.set_xticks([])
  axis.set_yticks([])
  axis.set_box_aspect(1)
  axis.spines[:].set_visible(True)
  axis.spines[:].set_color('0.7')
