"""Names of every kind, as matplotlib draws them."""

import warnings

import pytest
from absl import logging
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from tf_transfer.study.figures import canvas, glyphs

NAMES = [
  'photos_$5_to_$10',
  '$\\frac{1}$',
  'a$b',
  'a\\$b$c',
  '^_{}%#&~\\',
  '<b>&amp;"\'',
  '猫と花',
  'Käfer',
  'قطة وزهرة',
  'שלום',
  '🐱',
  '\U0001f9d1\u200d\U0001f33e',
  'two\nlines\tand \x1b[2J',
  '\ud83d',
  '\U000e0fff\ue000',
  '_hidden',
  'long_' * 100,
]


def shown(name, max_width=40):
  """Draws a name as title and legend; returns what matplotlib shows."""
  with warnings.catch_warnings(), canvas.style_context():
    warnings.simplefilter('error')
    figure, axis = plt.subplots()
    try:
      text = glyphs.drawable(name, max_width)
      title = axis.set_title(text)
      axis.plot([0], [0], label=text)
      legend = axis.legend()
      figure.draw_without_rendering()
      cleaned, is_math = title._preprocess_math(title.get_text())
      assert not is_math
      (entry,) = legend.get_texts()
      assert entry.get_text() == text
      return cleaned
    finally:
      plt.close(figure)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('has_fonts', [True, False])
def test_every_name_is_drawn_as_it_stands(name, has_fonts, monkeypatch, caplog):
  for function in (glyphs.families, glyphs._characters):
    function.cache_clear()
  if not has_fonts:
    monkeypatch.setattr(glyphs, '_fallbacks', lambda: ())
  text = shown(name)
  if name in (*NAMES[:6], 'Käfer', 'שלום'):
    assert text == name
  if name == '猫と花' and not has_fonts:
    assert text == r'\u732b\u3068\u82b1'
  assert not any('matplotlib' in r.name for r in caplog.records)
  for function in (glyphs.families, glyphs._characters):
    function.cache_clear()


def test_what_no_font_has_is_said_once(monkeypatch, caplog):
  monkeypatch.setattr(logging, '_log_counter_per_token', {})
  for _ in range(3):
    assert glyphs.drawable('a\ue123', 40) == r'a\ue123'
    assert glyphs.drawable('\ue124', 40) == r'\ue124'
  assert caplog.text.count('no font here has') == 1


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_drawn(name):
  shown(name)


@given(st.text(st.characters(exclude_characters='…')), st.integers(3, 60))
def test_shortened_texts_keep_both_ends(text, width):
  short = glyphs.shorten(text, width)
  if short != text:
    start, _, end = short.partition('…')
    assert text.startswith(start)
    assert text.endswith(end)
    assert glyphs._width(short) <= width + 1
    assert glyphs._width(text) > width


def test_a_long_name_loses_its_middle():
  assert glyphs.shorten('abcdefghij', 10) == 'abcdefghij'
  assert glyphs.shorten('abcdefghijk', 7) == 'abc…ijk'
  assert glyphs.shorten('猫' * 10, 9) == '猫猫…猫猫'
