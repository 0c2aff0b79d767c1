"""Figures made of records: a ledger's, or the paper's own numbers."""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import scipy.special
from absl import logging
from matplotlib import pyplot as plt
from matplotlib import ticker

from tf_transfer.errors import InputError
from tf_transfer.study.analysis import accuracy_table, statistics
from tf_transfer.study.figures import axes as axes_lib

Record = accuracy_table.Record
# Records by whose they are, as {'ours': ..., 'the paper': ...}; the first are
# drawn in full and the others behind them.
Series = Mapping[str, Sequence[Record]]


@dataclasses.dataclass(frozen=True)
class Style:
  """How a setting looks: told apart by mark and, in gray, by lightness."""

  text: str
  color: str
  marker: str
  line: str = '-'


STYLES: Mapping[str, Style] = {
  'logistic_regression': Style('Logistic regression', '#08306b', 'o'),
  'fine_tuned': Style('Fine-tuned', '#e6760a', 's'),
  'random_init': Style('Random initialization', '#86b8dc', '^', '--'),
}
_NETWORKS: Mapping[str, str] = {
  'inception_v1': 'Inception v1',
  'bn_inception': 'BN-Inception',
  'inception_v3': 'Inception v3',
  'inception_v4': 'Inception v4',
  'inception_resnet_v2': 'Inception-ResNet v2',
  'resnet50': 'ResNet-50',
  'resnet101': 'ResNet-101',
  'resnet152': 'ResNet-152',
  'densenet121': 'DenseNet-121',
  'densenet169': 'DenseNet-169',
  'densenet201': 'DenseNet-201',
  'mobilenet_v1': 'MobileNet v1',
  'mobilenet_v2': 'MobileNet v2',
  'mobilenet_v2_140': 'MobileNet v2 (1.4)',
  'nasnet_mobile': 'NASNet-A Mobile',
  'nasnet_large': 'NASNet-A Large',
  'efficientnet_lite0': 'EfficientNet-Lite0',
  'efficientnet_lite1': 'EfficientNet-Lite1',
  'efficientnet_lite2': 'EfficientNet-Lite2',
  'inception_small': 'Small Inception',
}
_DATASETS: Mapping[str, str] = {
  'food101': 'Food-101',
  'cifar10': 'CIFAR-10',
  'cifar100': 'CIFAR-100',
  'birdsnap': 'Birdsnap',
  'sun397': 'SUN397',
  'cars': 'Stanford Cars',
  'aircraft': 'FGVC Aircraft',
  'voc2007': 'PASCAL VOC 2007',
  'dtd': 'DTD',
  'pets': 'Oxford-IIIT Pets',
  'caltech101': 'Caltech-101',
  'flowers': '102 Flowers',
  'digits': 'Digits',
  'fashion_mnist': 'Fashion-MNIST',
}
_INK = '#1b1b1b'
_TIED = '#2ca02c'
_NOTHING = 'nothing here yet'
_MARKERS = 'osD^vP*Xdph<>8'


@dataclasses.dataclass(frozen=True)
class Curve:
  """Accuracy against the number of training steps, each point a run.

  Attributes:
    setting: 'fine_tuned' or 'random_init'.
    dataset: its name.
    steps: [S] ascending.
    accuracy: [S] in 0 to 1.
    steps_per_epoch: training images over the batch size.
  """

  setting: str
  dataset: str
  steps: np.ndarray
  accuracy: np.ndarray
  steps_per_epoch: float


def display_name(name: str) -> str:
  """A network or dataset as people write it; a folder by its last part."""
  if name.startswith('folder:'):
    return pathlib.PurePath(name).name
  return _NETWORKS.get(name) or _DATASETS.get(name) or name


def setting_text(setting: str) -> str:
  """A setting as people write it."""
  style = STYLES.get(setting)
  return style.text if style else setting.replace('_', ' ').capitalize()


def _accuracy_text(datasets: Collection[str]) -> str:
  return 'Accuracy' + ' (mAP on VOC 2007)' * ('voc2007' in datasets)


def _style(setting: str) -> Style:
  return STYLES.get(setting) or Style(setting_text(setting), _INK, 'o')


def _subplots(count: int, columns: int, width: float, height: float, **options):
  """A figure of `count` panels of a size in inches: it and its axes."""
  columns = min(columns, count)
  rows = -(-count // columns)
  figure, axes = plt.subplots(
    rows,
    columns,
    figsize=(width * columns, height * rows),
    squeeze=False,
    layout='constrained',
    **options,
  )
  for axis in axes.flat[count:]:
    axis.remove()
  return figure, list(axes.flat[:count])


def accuracy_vs_imagenet(records: Sequence[Record], path: pathlib.Path) -> bool:
  """Draws accuracy on each dataset against ImageNet top-1 accuracy.

  Both axes are logit-scaled, as in the paper's figure 2; the bars are the 95 %
  intervals of the test accuracy.

  Args:
    records: of one or more networks and datasets, in one setting.
    path: of the files, without .png and .pdf.

  Returns:
    Whether there was anything to draw: networks whose ImageNet accuracy is
    unknown are left out, and said.

  Raises:
    InputError: a file could not be written.
  """
  known = [r for r in records if r['imagenet_top1'] is not None]
  for name in sorted({r['network'] for r in records if r not in known}):
    logging.warning('%s: ImageNet top-1 unknown, left out of the figure', name)
  if not known:
    return False
  datasets = list(dict.fromkeys(r['dataset'] for r in known))
  with plt.rc_context(axes_lib.STYLE):
    figure, axes = _subplots(
      len(datasets), 4, 5.2 if len(datasets) == 1 else 3.8, 3.9
    )
    labels = [
      _panel(axis, [r for r in known if r['dataset'] == name])
      for axis, name in zip(axes, datasets, strict=True)
    ]
    _write_labels(figure, labels)
    axes_lib.save(figure, path)
  return True


def _write_labels(figure, labels: Sequence[tuple]) -> None:
  axes_lib.settle(figure)
  for axis, x, y, texts, obstacles in labels:
    axes_lib.place_labels(axis, x, y, texts, obstacles=obstacles)


def _bar_obstacles(
  x: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[np.ndarray]:
  """Points along error bars, that labels should not cover."""
  return [
    np.column_stack([np.full(9, at), np.linspace(bottom, top, 9)])
    for at, bottom, top in zip(x, low, high, strict=True)
  ]


def _panel(axis, records: Sequence[Record]) -> tuple:
  """One dataset: a point with its interval per network; labels to place."""
  x = np.array([r['imagenet_top1'] for r in records])
  examples = records[0]['test']['examples']
  y, low, high = (
    statistics.off_the_ends(
      np.array([r['test'][key] for r in records]), examples
    )
    for key in ('value', 'low', 'high')
  )
  axis.set_xscale('logit')
  axis.set_yscale('logit')
  axis.errorbar(
    x, y, yerr=[y - low, high - y], fmt='o', color='#1f4e79', capsize=3
  )
  axes_lib.logit_axis(axis.xaxis, x.min(), x.max(), margin=0.25)
  axes_lib.logit_axis(axis.yaxis, low.min(), high.max())
  metric = {
    'top1': 'Top-1 accuracy',
    'mean_per_class': 'Mean per-class accuracy',
    'map11': 'Mean average precision',
  }[records[0]['metric']]
  axis.set_xlabel('ImageNet top-1 accuracy')
  axis.set_ylabel(f'{metric}, {examples:,} test images')
  axis.set_title(
    f'{display_name(records[0]["dataset"])}: '
    f'{_style(records[0]["setting"]).text.lower()}'
  )
  axis.grid(alpha=0.25)
  return (
    axis,
    x,
    y,
    [display_name(r['network']) for r in records],
    _bar_obstacles(x, low, high),
  )


def _known(records: Sequence[Record], setting: str) -> accuracy_table.Grid:
  """The networks whose ImageNet accuracy is known; others are said."""
  found = accuracy_table.of(records, setting)
  known = ~np.isnan(found.imagenet_top1)
  for name, there in zip(found.networks, known, strict=True):
    if not there:
      logging.warning('%s: ImageNet top-1 unknown, left out of figures', name)
  return found.keep(known)


def _comparable(
  series: Series, setting: str
) -> list[tuple[str, accuracy_table.Grid]]:
  """Each series on the same datasets, and networks with all of them.

  Those are what `grid.usable` leaves of the first series, of the datasets that
  all series have; what is left out is said.

  Raises:
    InputError: the series have no dataset in common.
  """
  grids = {name: _known(records, setting) for name, records in series.items()}
  grids = {name: found for name, found in grids.items() if found.networks}
  if not grids:
    return []
  first, *others = grids.values()
  shared = [
    name for name in first.datasets if all(name in o.datasets for o in others)
  ]
  if not shared:
    raise InputError(
      f'{" and ".join(grids)} have no dataset in common in {setting}, so their '
      'averages cannot be compared: draw them apart'
    )
  selected = accuracy_table.usable(first.on(shared))
  if selected.thin:
    logging.warning(
      '%s: too few networks on them, left out of the averages',
      ', '.join(selected.thin),
    )
  if not selected.found.networks:
    return []
  kept, result = selected.found.datasets, []
  for name, found in grids.items():
    found = found.on(kept)
    whole = ~np.isnan(found.accuracy).any(axis=1)
    for network, there in zip(found.networks, whole, strict=True):
      if not there:
        logging.warning(
          '%s: not on all of %s, left out of the averages',
          network,
          ', '.join(kept),
        )
    if whole.any():
      result.append((name, found.keep(whole)))
  return result


def _nothing_to_average(series: Series, setting: str) -> str:
  """Why a panel of averages is empty."""
  every = [r for own in series.values() for r in own]
  every = [r for r in every if r['setting'] == setting]
  if not every:
    return _NOTHING
  if all(r['imagenet_top1'] is None for r in every):
    return 'no network with a known ImageNet top-1'
  return 'no network with a known ImageNet top-1\non the datasets of all'


def _say(axis, text: str) -> None:
  """Puts a remark, as the correlation, into a corner of a panel."""
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


def _correlation_text(x: np.ndarray, y: np.ndarray) -> str:
  """r with its interval; or why there is none."""
  try:
    found = statistics.correlation(x, y)
  except InputError as error:
    return str(error)
  if np.isnan(found.low):
    return f'r = {found.r:.2f} ({found.points} networks)'
  return f'r = {found.r:.2f} [{found.low:.2f}, {found.high:.2f}]'


def _band(
  axis, x: np.ndarray, y: np.ndarray, color: str, line_style: str
) -> np.ndarray:
  """A regression line with its band, in log-odds; x of the axis is a share.

  Returns:
    [K, 2] points of the line, none where there is no line.
  """
  margin = 0.05 * np.ptp(x)
  places = np.linspace(x.min() - margin, x.max() + margin, 60)
  try:
    line = statistics.regression(x, y, places)
  except InputError:
    return np.empty((0, 2))
  share = scipy.special.expit(places)
  # On a panel of accuracies the line is drawn in them too.
  drawn = [line.y, line.low, line.high]
  if axis.get_yscale() == 'logit':
    drawn = [scipy.special.expit(values) for values in drawn]
  axis.plot(
    share, drawn[0], color=color, linewidth=1.2, linestyle=line_style, zorder=1
  )
  axis.fill_between(
    share, drawn[1], drawn[2], color=color, alpha=0.18, linewidth=0, zorder=0
  )
  return np.column_stack([share, drawn[0]])


def _averages_panel(axis, series: Series, setting: str) -> tuple | None:
  """Mean log-odds against ImageNet top-1; labels to place, if any."""
  style = _style(setting)
  axis.set_title(style.text)
  grids = _comparable(series, setting)
  if not grids:
    axis.set_axis_off()
    _say(axis, _nothing_to_average(series, setting))
    return None
  axis.set_xscale('logit')
  remarks, obstacles = [], []
  for number, (name, found) in enumerate(grids):
    x = found.imagenet_top1
    mean, error = statistics.averages(found.log_odds)
    error = np.nan_to_num(error)
    _points(axis, (x, mean, error), style, name, behind=number > 0)
    obstacles += _bar_obstacles(x, mean - error, mean + error)
    log_x = statistics.log_odds(x)
    color = '0.5' if number else style.color
    obstacles.append(_band(axis, log_x, mean, color, style.line))
    prefix = f'{name}: ' if len(grids) > 1 else ''
    remarks.append(prefix + _correlation_text(log_x, mean))
  _say(axis, '\n'.join(remarks))
  every = np.concatenate([found.imagenet_top1 for _, found in grids])
  axes_lib.logit_axis(axis.xaxis, every.min(), every.max(), ticks=7)
  axis.margins(y=0.12)
  axis.set_xlabel('ImageNet top-1 accuracy')
  found = grids[0][1]
  count = len(found.datasets)
  axis.set_ylabel(
    f'Mean log-odds over {count} datasets'
    if count > 1
    else f'Log-odds on {display_name(found.datasets[0])}'
  )
  axis.grid(alpha=0.2)
  _percent_beside(axis)
  if len(grids) > 1:
    axis.legend(loc='lower right', fontsize=8)
  mean, _ = statistics.averages(found.log_odds)
  texts = [display_name(name) for name in found.networks]
  return axis, found.imagenet_top1, mean, texts, obstacles


def _points(
  axis, values: tuple, style: Style, name: str, *, behind: bool
) -> None:
  """A series' averages with their errors, hollow and gray where behind."""
  x, mean, error = values
  axis.errorbar(
    x,
    mean,
    yerr=error,
    fmt=style.marker,
    color='0.45' if behind else style.color,
    markerfacecolor='none' if behind else style.color,
    markeredgecolor='0.45' if behind else _INK,
    markeredgewidth=0.6,
    ecolor='0.6' if behind else '0.35',
    elinewidth=0.8,
    capsize=2,
    markersize=5,
    label=name,
    zorder=2 if behind else 3,
  )


def _percent_beside(axis) -> None:
  """A second axis on the right: the accuracy that has these log-odds."""
  ends = np.array(axis.get_ylim())
  right = axis.twinx()
  right.set_yscale('logit')
  right.spines['right'].set_visible(True)
  axes_lib.logit_axis(right.yaxis, *scipy.special.expit(ends), margin=0)
  right.set_ylim(*scipy.special.expit(ends))
  right.tick_params(colors='0.35', labelsize=8)
  right.set_ylabel('the same as accuracy', color='0.35', fontsize=8)
  right.spines['right'].set_color('0.7')


def averages_vs_imagenet(
  series: Series, settings: Sequence[str], path: pathlib.Path
) -> None:
  """Figure 1: mean log-odds over datasets against ImageNet top-1 accuracy.

  Bars are Morey's errors, lines least squares with 95 % bootstrap bands; r is
  Pearson's with its bootstrap interval.

  Args:
    series: records by whose they are.
    settings: a panel each.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written, or the series share no dataset.
  """
  with plt.rc_context(axes_lib.STYLE):
    figure, axes = _subplots(len(settings), 3, 5.2, 4.6)
    figure.get_layout_engine().set(w_pad=0.12)
    labels = [
      _averages_panel(axis, series, setting)
      for axis, setting in zip(axes, settings, strict=True)
    ]
    _write_labels(figure, [one for one in labels if one])
    axes_lib.save(figure, path)


def datasets_vs_imagenet(
  series: Series,
  settings: Sequence[str],
  path: pathlib.Path,
  tied: Mapping[tuple[str, str], Collection[str]] | None = None,
) -> None:
  """Figure 2: each dataset in each setting, and the averages on the right.

  Args:
    series: records by whose they are.
    settings: a row of panels each.
    path: of the files, without .png and .pdf.
    tied: (setting, dataset) -> the networks of the first series that are not
      significantly worse than the best, drawn as green diamonds; None: unknown.

  Raises:
    InputError: as for figure 1.
  """
  first = next(iter(series.values()))
  datasets = list(dict.fromkeys(r['dataset'] for r in first))
  rows_each = min(2, len(datasets))
  columns = -(-len(datasets) // rows_each)
  width = max(1.75 * columns, 3.0)
  with plt.rc_context({**axes_lib.STYLE, 'font.size': 8}):
    figure = plt.figure(
      figsize=(width + 5.2, 4.5 * len(settings)), layout='constrained'
    )
    rows = figure.subfigures(len(settings), 1, squeeze=False, hspace=0.02)
    labels = []
    for row, setting in zip(rows.flat, settings, strict=True):
      left, right = row.subfigures(1, 2, width_ratios=(width, 5.2))
      left.suptitle(_style(setting).text, fontsize=11, fontweight='bold')
      panels = left.subplots(rows_each, columns, squeeze=False)
      for axis in panels.flat[len(datasets) :]:
        axis.remove()
      for axis, name in zip(panels.flat, datasets, strict=False):
        _small_panel(
          axis, series, setting, name, (tied or {}).get((setting, name), ())
        )
      left.supxlabel('ImageNet top-1 accuracy', fontsize=8)
      left.supylabel(_accuracy_text(datasets), fontsize=8)
      averages = right.subplots()
      labels.append(_averages_panel(averages, series, setting))
      averages.set_title('Average')
    _write_labels(figure, [one for one in labels if one])
    axes_lib.save(figure, path)


def _of_cell(
  records: Sequence[Record], setting: str, dataset: str
) -> list[Record]:
  wanted = setting, dataset
  return [r for r in records if (r['setting'], r['dataset']) == wanted]


def _small_panel(
  axis,
  series: Series,
  setting: str,
  dataset: str,
  tied: Collection[str],
) -> None:
  """One dataset of figure 2."""
  axis.set_title(display_name(dataset), fontsize=8)
  xs, ys = [], []
  for number, records in enumerate(series.values()):
    found = _known(_of_cell(records, setting, dataset), setting)
    if not found.networks:
      continue
    x = found.imagenet_top1
    log_y = found.log_odds[:, 0]
    y = scipy.special.expit(log_y)
    axis.set_xscale('logit')
    axis.set_yscale('logit')
    style = _style(setting)
    color = '0.6' if number else style.color
    _band(axis, statistics.log_odds(x), log_y, color, style.line)
    best = np.array([name in tied and not number for name in found.networks])
    for rows, options in (
      (~best, {'marker': 'o', 's': 9, 'color': '0.6' if number else _INK}),
      (best, {'marker': 'D', 's': 16, 'color': _TIED, 'edgecolors': _INK}),
    ):
      axis.scatter(x[rows], y[rows], linewidths=0.5, zorder=3, **options)
    xs.append(x)
    ys.append(y)
  if not xs:
    axis.set_axis_off()
    if not any(_of_cell(own, setting, dataset) for own in series.values()):
      _say(axis, _NOTHING)
    return
  x, y = np.concatenate(xs), np.concatenate(ys)
  axes_lib.logit_axis(axis.xaxis, x.min(), x.max(), ticks=4)
  axes_lib.logit_axis(axis.yaxis, y.min(), y.max(), ticks=5)
  axis.tick_params(labelsize=6.5, length=2, pad=1.5)


def settings_by_dataset(
  records: Sequence[Record],
  previous_best: Mapping[str, float],
  path: pathlib.Path,
) -> None:
  """Figure 6: the settings on each dataset.

  A mark is a network, a bar the mean, taken in log-odds, of the networks that
  all of the dataset's settings have: means of different networks say nothing
  about settings. Other networks' marks are gray. The axes are logit-scaled, so
  bars start where their panel does.

  Args:
    records: of one or more of the paper's settings; others are not drawn.
    previous_best: dataset -> best result before, a dashed line; may lack some.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written.
  """
  records = [r for r in records if r['setting'] in STYLES]
  settings = [s for s in STYLES if any(r['setting'] == s for r in records)]
  datasets = list(dict.fromkeys(r['dataset'] for r in records))
  with plt.rc_context(axes_lib.STYLE):
    figure, axes = _subplots(len(datasets), 6, 2.0, 2.9)
    for axis, name in zip(axes, datasets, strict=True):
      _bars(
        axis,
        [r for r in records if r['dataset'] == name],
        settings,
        previous_best.get(name),
      )
      axis.set_title(display_name(name))
    figure.supylabel(_accuracy_text(datasets), fontsize=9)
    handles = [
      plt.Rectangle((0, 0), 1, 1, facecolor=STYLES[s].color, edgecolor=_INK)
      for s in settings
    ]
    texts = [STYLES[s].text for s in settings]
    if any(name in previous_best for name in datasets):
      handles.append(plt.Line2D([], [], color=_INK, linestyle='--'))
      texts.append('Previous best')
    # An entry is as wide as a panel.
    columns = min(len(texts), len(axes))
    figure.legend(handles, texts, loc='outside lower center', ncols=columns)
    axes_lib.save(figure, path)


def _bars(
  axis,
  records: Sequence[Record],
  settings: Sequence[str],
  best: float | None,
) -> None:
  """One dataset of figure 6."""
  axis.set_yscale('logit')
  grids = [accuracy_table.of(records, setting) for setting in settings]
  values = [scipy.special.expit(g.log_odds.reshape(-1)) for g in grids]
  shown = np.concatenate([*values, [] if best is None else [best]])
  axes_lib.logit_axis(axis.yaxis, shown.min(), shown.max(), ticks=7)
  floor = axis.get_ylim()[0]
  there = [set(found.networks) for found in grids if found.networks]
  shared = set.intersection(*there)
  for at, (setting, own) in enumerate(zip(settings, values, strict=True)):
    if not len(own):
      continue
    style = STYLES[setting]
    rows = np.array([name in shared for name in grids[at].networks])
    if shared:
      mean = scipy.special.expit(scipy.special.logit(own[rows]).mean())
      axis.bar(
        at,
        mean - floor,
        bottom=floor,
        color=style.color,
        edgecolor=_INK,
        linewidth=0.6,
        alpha=0.75,
      )
    spread = np.linspace(-0.25, 0.25, len(own)) if len(own) > 1 else 0
    axis.scatter(
      at + spread,
      own,
      s=9,
      marker=style.marker,
      facecolor='white',
      edgecolor=np.where(rows, _INK, '0.6'),
      linewidths=0.6,
      zorder=3,
    )
  if best is not None:
    axis.axhline(best, color=_INK, linestyle='--', linewidth=1)
  axis.set_xticks([])


def fine_tuned_vs_random(series: Series, path: pathlib.Path) -> None:
  """Figure 7: fine-tuned against random initialization, a point a cell.

  Args:
    series: records by whose they are; of all but the first only what is on
      the first's datasets is drawn.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written, or no cell was run in both
      settings.
  """
  with plt.rc_context(axes_lib.STYLE):
    figure, (axis,) = _subplots(1, 1, 6, 6)
    axis.set_xscale('logit')
    axis.set_yscale('logit')
    ends, named = [], {}
    for number, records in enumerate(series.values()):
      for dataset, x, y in _pairs(records):
        if number and dataset not in named:
          continue
        index = named.setdefault(dataset, len(named))
        color = plt.get_cmap('turbo')(0.05 + 0.9 * (index % 12) / 11)
        axis.scatter(
          x,
          y,
          s=26,
          marker=_MARKERS[index % len(_MARKERS)],
          facecolor='none' if number else color,
          edgecolor='0.5' if number else _INK,
          linewidths=0.5,
          label='_' if number else display_name(dataset),
          zorder=2 if number else 3,
        )
        ends += [x.min(), x.max(), y.min(), y.max()]
    if not ends:
      plt.close(figure)
      raise InputError(
        'no network was both fine-tuned and trained from random '
        'initialization on the same dataset'
      )
    for one in (axis.xaxis, axis.yaxis):
      axes_lib.logit_axis(one, min(ends), max(ends), ticks=12, margin=0.04)
    both = axis.get_xlim()
    axis.plot(both, both, color='0.4', linewidth=0.8, linestyle='--', zorder=1)
    axis.set_xlim(both)
    axis.set_ylim(both)
    axis.set_box_aspect(1)
    axis.grid(alpha=0.2)
    axis.set_xlabel('Accuracy from random initialization')
    axis.set_ylabel('Accuracy fine-tuned')
    handles, texts = axis.get_legend_handles_labels()
    if len(series) > 1:
      names = list(series)
      texts = [f'{text} ({names[0]})' for text in texts]
      handles.append(
        plt.Line2D([], [], ls='', marker='o', mfc='none', mec='0.5')
      )
      texts.append(' and '.join(names[1:]))
    axis.legend(handles, texts, loc='lower right', fontsize=8.5)
    axes_lib.save(figure, path)


def _pairs(records: Sequence[Record]):
  """(dataset, random [K], fine-tuned [K]) of the networks that have both."""
  grids = [accuracy_table.of(records, s) for s in ('random_init', 'fine_tuned')]
  cells = [
    {
      (network, dataset): scipy.special.expit(g.log_odds[i, j])
      for i, network in enumerate(g.networks)
      for j, dataset in enumerate(g.datasets)
      if not np.isnan(g.accuracy[i, j])
    }
    for g in grids
  ]
  for dataset in grids[1].datasets:
    pairs = [
      (cells[0][cell], value)
      for cell, value in cells[1].items()
      if cell[1] == dataset and cell in cells[0]
    ]
    if pairs:
      x, y = np.transpose(pairs)
      yield dataset, x, y


def accuracy_vs_steps(curves: Sequence[Curve], path: pathlib.Path) -> None:
  """Figure 8: accuracy against training steps, below, and epochs, above.

  A dotted line marks where a curve reaches 90 % of its greatest odds.

  Args:
    curves: of one or more datasets.
    path: of the files, without .png and .pdf.

  Raises:
    InputError: a file could not be written.
  """
  datasets = list(dict.fromkeys(c.dataset for c in curves))
  every = np.concatenate([c.steps for c in curves])
  with plt.rc_context(axes_lib.STYLE):
    figure, axes = _subplots(len(datasets), 4, 2.9, 2.6)
    for axis, name in zip(axes, datasets, strict=True):
      for curve in (c for c in curves if c.dataset == name):
        _draw_curve(axis, curve)
      axis.set_xscale('log')
      axis.set_xlim(every.min() / 1.4, every.max() * 1.4)
      axis.set_ylim(0, 1.02)
      axis.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0))
      axis.grid(alpha=0.25)
      axis.set_title(display_name(name))
      per_epoch = next(c for c in curves if c.dataset == name).steps_per_epoch
      above = axis.secondary_xaxis(
        'top',
        functions=(
          lambda s, per_epoch=per_epoch: s / per_epoch,
          lambda e, per_epoch=per_epoch: e * per_epoch,
        ),
      )
      above.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:,g}'))
      above.xaxis.set_minor_locator(ticker.NullLocator())
      above.tick_params(labelsize=7, colors='0.35')
      above.spines['top'].set_color('0.7')
    figure.supxlabel('Training steps (above each panel: epochs)')
    figure.supylabel('Accuracy')
    handles, texts = axes[0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color='0.4', linestyle=':'))
    texts.append('90 % of its greatest odds')
    figure.legend(handles, texts, loc='outside upper center', ncols=len(texts))
    axes_lib.save(figure, path)


def _draw_curve(axis, curve: Curve) -> None:
  style = _style(curve.setting)
  axis.plot(
    curve.steps,
    curve.accuracy,
    color=style.color,
    linestyle=style.line,
    marker=style.marker,
    markersize=4,
    markeredgecolor=_INK,
    markeredgewidth=0.5,
    label=style.text,
  )
  reached = statistics.steps_to_share(curve.steps, curve.accuracy)
  at = curve.accuracy[list(curve.steps).index(reached)]
  axis.plot(
    [reached, reached],
    [0, at],
    color=style.color,
    linestyle=':',
    linewidth=1.3,
    zorder=1,
  )
