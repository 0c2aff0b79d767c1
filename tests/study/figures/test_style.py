import colorsys
import itertools

from matplotlib import colors
from matplotlib import pyplot as plt

from tf_transfer.study.figures import style
from tf_transfer.study.paper import numbers


def test_every_setting_of_the_paper_has_a_look_of_its_own():
  assert tuple(style.STYLES) == numbers.SETTINGS
  looks = style.STYLES.values()
  assert len({look.marker for look in looks}) == len(looks)
  # Told apart in gray, too.
  lightness = sorted(
    colorsys.rgb_to_hls(*colors.to_rgb(look.color))[1] for look in looks
  )
  assert min(b - a for a, b in itertools.pairwise(lightness)) > 0.1


def test_other_settings_are_plain():
  assert style.style_of('ridge') == style.Style('Ridge', style.INK, 'o')


def test_accuracy_text_names_the_metric_of_voc():
  assert style.accuracy_text(['pets', 'dtd']) == 'Accuracy'
  assert style.accuracy_text(['voc2007']) == 'Accuracy (mAP on VOC 2007)'


def test_remark_stands_in_the_upper_left_corner():
  figure, axis = plt.subplots()
  style.write_remark(axis, 'a remark')
  (text,) = axis.texts
  box = text.get_window_extent(figure.canvas.get_renderer())
  frame = axis.get_window_extent()
  plt.close(figure)
  assert frame.x0 < box.x0 < frame.x0 + 0.1 * frame.width
  assert frame.y1 - 0.1 * frame.height < box.y1 < frame.y1
