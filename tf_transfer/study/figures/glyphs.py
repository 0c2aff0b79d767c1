"""Makes names fit for figures: no formulas, no missing glyphs, not too long.

Names of datasets, networks and classes come from outside, and may hold what is
something else in matplotlib's language, or what its font has no glyphs for.
"""

import functools
import logging as python_logging
import os
import unicodedata
from collections.abc import Iterable

from absl import logging
from matplotlib import font_manager, ft2font

from tf_transfer import errors

# Names of files of fonts that have what DejaVu Sans lacks, the best first.
_FALLBACK_FILES = (
  *('NotoSansCJK-Regular', 'NotoSansCJKjp-Regular', 'NotoSansCJKsc-Regular'),
  *('NotoSansJP-Regular', 'NotoSansSC-Regular', 'NotoSansKR-Regular'),
  *('wqy-zenhei', 'wqy-microhei', 'DroidSansFallbackFull', 'ipaexg', 'ipag'),
  *('Arial Unicode', 'msyh', 'YuGothR', 'malgun', 'AppleSDGothicNeo'),
  *('NotoSansDevanagari-Regular', 'NotoSansThai-Regular', 'FreeSans'),
  *('NotoSansSymbols2-Regular', 'NotoEmoji-Regular', 'Symbola', 'unifont'),
)
_MAX_FALLBACKS = 6  # Each is opened for every text.
_NORMAL_WEIGHT = 400
_ELLIPSIS = '…'


def drawable(name: str, max_width: int) -> str:
  """Makes a name a text that matplotlib draws as it stands.

  Characters that no font has are escaped, which is logged once. A dollar sign
  begins no formula. A name that is empty or begins with an underscore, which
  would hide an entry of a legend, follows a space.

  Args:
    name: any text.
    max_width: in letters; longer names lose their middle. Chinese, Japanese and
      Korean ones count twice.
  """
  text = unicodedata.normalize('NFC', name)
  text = errors.printable(text).replace('\n', r'\n').replace('\t', r'\t')
  # Joiners and selectors of variants are not to be seen.
  text = ''.join(c for c in text if unicodedata.category(c) != 'Cf')
  known = _characters()
  missing = ''.join(sorted({c for c in text if ord(c) not in known}))
  if missing:
    logging.log_first_n(
      logging.WARNING,
      'figures: no font here has the characters %s of a name, so they are '
      'written as %s, and others likewise; install a font such as Noto Sans '
      'CJK',
      1,
      missing,
      missing.encode('unicode_escape').decode(),
    )
    text = ''.join(
      c.encode('unicode_escape').decode() if c in missing else c for c in text
    )
  text = shorten(text, max_width).replace('$', r'\$')
  return f' {text}' if not text or text.startswith('_') else text


def shorten(text: str, max_width: int) -> str:
  """Replaces the middle of a long text by an ellipsis.

  Args:
    text: any.
    max_width: in letters, wide ones counting twice.
  """
  if _width(text) <= max_width:
    return text
  start = _start_of(text, max_width // 2)
  end = _start_of(text[::-1], max_width - 1 - max_width // 2)[::-1]
  return f'{start}{_ELLIPSIS}{end}'


def _start_of(text: str, max_width: int) -> str:
  """Returns the longest beginning of a text that is not too wide."""
  width = 0
  for i, letter in enumerate(text):
    width += _width(letter)
    if width > max_width:
      return text[:i]
  return text


def _width(text: Iterable[str]) -> int:
  """Returns how wide letters are, wide ones counting twice."""
  return sum(1 + (unicodedata.east_asian_width(c) in 'WF') for c in text)


@functools.cache
def families() -> tuple[str, ...]:
  """Returns the families of fonts that figures are drawn with, in order."""
  return ('DejaVu Sans', *(family for family, _ in _fallbacks()))


@functools.cache
def _characters() -> frozenset[int]:
  """Returns the characters that some font of `families` has."""
  path = font_manager.findfont('DejaVu Sans')
  first = frozenset(ft2font.FT2Font(path).get_charmap())
  return first.union(*(characters for _, characters in _fallbacks()))


@functools.cache
def _fallbacks() -> tuple[tuple[str, frozenset[int]], ...]:
  """Finds fonts of this machine that have what DejaVu Sans lacks.

  Returns:
    Family and characters of each.
  """
  # On systems without fc-list, matplotlib logs that there is none.
  python_logging.getLogger('matplotlib.font_manager').setLevel(
    python_logging.ERROR
  )
  paths = sorted(font_manager.findSystemFonts())
  selected = [
    path
    for name in _FALLBACK_FILES
    for path in paths
    if os.path.splitext(os.path.basename(path))[0] == name
  ]
  fonts = {}
  for path in selected:
    try:
      font = ft2font.FT2Font(path)
      weight = font_manager.ttfFontProperty(font).weight
      font_manager.fontManager.addfont(path)
    except (OSError, RuntimeError, ValueError):
      continue  # A broken file, or of a kind that matplotlib cannot read.
    if weight in (_NORMAL_WEIGHT, 'normal', 'regular'):
      fonts.setdefault(font.family_name, frozenset(font.get_charmap()))
  return tuple(list(fonts.items())[:_MAX_FALLBACKS])
