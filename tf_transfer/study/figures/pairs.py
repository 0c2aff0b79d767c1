"""Draws pairs of images that look alike, for a person to judge."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from tf_transfer import datasets
from tf_transfer.study.leak_audit import KINDS, Leak

_THUMBNAIL = 112  # pixels
_CAPTION = 14  # pixels
_PAIRS_ACROSS = 5


def draw_pairs(
  leaks: Sequence[Leak],
  searched: Mapping[str, datasets.Dataset],
  dataset: datasets.Dataset,
  max_pairs: int,
) -> Image.Image:
  """Draws pairs side by side, test on the left, the least similar first.

  Args:
    leaks: the pairs.
    searched: the datasets of the other images, by name.
    dataset: the dataset of the test images.
    max_pairs: how many pairs are drawn at most.
  """
  shown = sorted(
    leaks, key=lambda leak: (KINDS.index(leak.kind), leak.distance)
  )[::-1][:max_pairs]
  width, height = 2 * _THUMBNAIL + 8, _THUMBNAIL + _CAPTION + 4
  num_rows = -(-len(shown) // _PAIRS_ACROSS)
  sheet = Image.new('RGB', (_PAIRS_ACROSS * width, num_rows * height), 'white')
  draw = ImageDraw.Draw(sheet)
  for number, leak in enumerate(shown):
    top, left = (
      n * size
      for n, size in zip(
        divmod(number, _PAIRS_ACROSS), (height, width), strict=True
      )
    )
    sources = (
      (dataset.splits['test'], leak.test),
      (searched[leak.dataset].splits[leak.split], leak.other),
    )
    for place, (split, i) in enumerate(sources):
      picture = _thumbnail(split, i)
      sheet.paste(picture, (left + place * _THUMBNAIL, top))
    caption = (
      f'{leak.kind} {leak.distance}: {leak.test}, {leak.split} {leak.other}'
    )
    draw.text((left, top + _THUMBNAIL), caption, fill='black')
  return sheet


def _thumbnail(split: datasets.Split, i: int) -> Image.Image:
  """Returns a small copy of an image; a gray square if it is unreadable."""
  try:
    image = Image.fromarray(split.read(i))
  except datasets.CorruptImage:
    # An exact copy of a file that nobody can decode.
    return Image.new('RGB', (_THUMBNAIL - 2, _THUMBNAIL - 2), 'gray')
  scale = (_THUMBNAIL - 2) / max(image.size)
  return image.resize([max(1, round(side * scale)) for side in image.size])
