import json
import re

import numpy as np
import pytest
import scipy.special

from tf_transfer.study.analysis import shift_results
from tf_transfer.study.report import shift_page


@pytest.fixture(scope='module')
def results():
  return shift_results.published()


@pytest.fixture(scope='module')
def text(results):
  return shift_page.render(results, 'table.csv')


def test_page_is_small_and_fetches_nothing(text):
  assert len(text.encode()) < 600_000
  assert "default-src 'none'" in text
  assert not re.search(r'(src|href)="(?!data:|table\.csv)', text)
  assert 'https://' not in text
  assert 'http://' not in text


def test_every_checkpoint_is_in_every_figure(results, text):
  """A dot each, but for the one that ImageNet-A leaves out."""
  dots = [
    len(re.findall(r'M[\d.]+ [\d.]+h0', figure))
    for figure in text.split('<figure>')[1:]
  ]
  assert dots == [1266, 1266, 1266, 1266, 1265]
  data = json.loads(re.search(r'^const data = (.*);$', text, re.M)[1])
  assert len(data['names']) == len(data['facts']) == 1266
  i = data['names'].index('resnet50.a1_in1k')
  assert data['facts'][i].startswith('ImageNet top-1 81.2% at 288 px, crop 1')
  assert data['panels'][2]['top1'][i] == 39.0


def test_dots_are_where_the_ticks_say(results):
  """Read back from the ticks, by interpolation of log-odds."""
  for name, shift in results.table.shifts.items():
    one = shift_page.panel(results, name)
    for ticks, pixels, accuracy in (
      (one.x_ticks, one.x, shift.plain),
      (one.y_ticks, one.y, shift.accuracy),
    ):
      assert 3 <= len(ticks) <= 8
      at = [tick.position for tick in ticks]
      shares = np.array([float(t.text.rstrip('%')) / 100 for t in ticks])
      line = np.polyfit(at, scipy.special.logit(shares), 1)
      known = shift.known
      expected = scipy.special.logit(accuracy[known])
      # A tenth of a pixel, and ticks that are as round.
      found = np.polyval(line, pixels[known])
      assert found == pytest.approx(expected, abs=0.01)


def test_standouts_are_listed_with_what_is_bold(results, text):
  table = text.split('id="standouts"')[1]
  assert table.count('<th scope="row">') == len(results.standouts)
  assert table.count('class="better"') == results.num_better_on.sum()


def test_page_is_written_beside_the_table(results, tmp_path):
  path = shift_page.write(results, tmp_path, 'table.csv')
  assert path == tmp_path / 'timm_results.html'
  assert path.read_text().lstrip().startswith('<!DOCTYPE html>')
