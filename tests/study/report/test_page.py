"""The report without a browser: what it says, and why."""

import base64
import csv
import html.parser
import json
import re

import numpy as np
import pytest

from tests.study.report import page_records
from tests.study.report.page_records import FIXED, cell
from tf_transfer.networks import recipe
from tf_transfer.study.report import cells as cells_lib
from tf_transfer.study.report import page as page_lib


class _Page(html.parser.HTMLParser):
  """The tags of a page, and the texts of the cells of its tables."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.cells, self.links, self._in = [], [], {}, False
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self.tags.append(tag)
    self._in = self._in or tag == 'td'
    attributes = dict(attributes)
    if 'download' in attributes:
      self.links[attributes['download']] = attributes['href']

  def handle_endtag(self, tag):
    self._in = self._in and tag != 'td'

  def handle_data(self, data):
    if self._in:
      self.cells.append(data.strip())


def test_hostile_texts_stay_texts(tmp_path):
  evil = '</script><script>alert(1)</script><img src=x onerror=alert(2)>'
  usual = page_lib.write(
    page_records.write(tmp_path / 'a', [cell('n', 0.7, 0.7)]), tmp_path / 'a'
  )
  records = page_records.write(
    tmp_path / 'b',
    [cell(evil, 0.7, 0.7, f'folder:/x/{evil}', notes=[evil])],
    [
      {
        **dict.fromkeys(('network', 'dataset', 'setting'), evil),
        **{'error': evil, 'time': evil},
      }
    ],
  )
  path = page_lib.write(records, tmp_path / 'b')
  page = _Page(path.read_text())
  assert page.cells.count(evil) >= 4
  count = _Page(usual.read_text()).tags.count
  assert page.tags.count('script') == count('script')
  assert 'img' not in page.tags


def test_controls_and_marks_of_direction_are_escaped(tmp_path):
  evil = 'a\x1b[2J\u202eb\x00'
  records = page_records.write(
    tmp_path, [cell(evil, 0.7, 0.7, f'folder:/x/{evil}', notes=[evil])]
  )
  text = page_lib.render(records, [], tmp_path)
  assert not set('\x1b\u202e\x00') & set(text)
  assert _Page(text).cells.count('a\\x1b[2J\\u202eb\\x00') >= 3


def test_downloads_hold_the_tables(tmp_path):
  records = page_records.write(
    tmp_path, [cell('resnet50', 0.9, 0.76), cell('mine', 0.8, 0.7)]
  )
  page = _Page(page_lib.write(records, tmp_path).read_text())
  assert set(page.links) == {
    *('cells.csv', 'hyperparameters.csv', 'imagenet-top1.csv'),
    *('provenance.csv', 'ties.csv'),
  }
  _, _, encoded = page.links['cells.csv'].partition('base64,')
  rows = list(csv.DictReader(base64.b64decode(encoded).decode().splitlines()))
  assert [row['Network'] for row in rows] == ['ResNet-50', 'mine']
  assert float(rows[0]['Ours, %']) == 90.0
  assert rows[1]['Paper, %'] == '–'


def test_what_went_wrong_is_in_plain_sight(tmp_path):
  failed = {
    'network': 'resnet50',
    'dataset': 'dtd',
    'setting': FIXED,
    'error': 'no archives',
    'time': '2026-01-02T03:04:05+00:00',
  }
  cells = [
    cell(
      'n', 0.7, 0.7, solver={'converged': False, 'unconverged_penalties': []}
    )
  ]
  records = page_records.write(tmp_path, cells, [failed])
  page = _Page(page_lib.write(records, tmp_path).read_text())
  assert 'no archives' in page.cells
  assert 'the final fit did not converge' in page.cells
  assert {'failures.csv', 'remarks.csv'} <= set(page.links)


def test_networks_that_were_not_trained_alike(tmp_path):
  """As the table of text says it; of what counts, by the page's names."""
  plain = recipe.Recipe(True, False, False, False, 'imagenet').to_json()
  cells = [cell('resnet50', 0.9, 0.76), cell('mine', 0.8, 0.7, recipe=plain)]
  records = page_records.write(tmp_path, cells)
  text = page_lib.write(records, tmp_path).read_text()
  (found,) = re.findall(r'<section id="recipes".*?</section>', text, re.DOTALL)
  assert 'these networks were not trained alike' in found
  assert '<li>label smoothing: with: ResNet-50; without: mine</li>' in found
  assert 'BN scale' not in found
  # It warns before the answer.
  assert text.index('<section id="recipes"') < text.index('class="answer"')
  alike = page_lib.write(records[:1], tmp_path).read_text()
  assert '<section id="recipes"' not in alike


def test_a_later_record_of_a_cell_counts(tmp_path):
  cells = [
    cell('n', 0.7, 0.7),
    cell('n', 0.8, 0.7, search={**page_records.LOGISTIC, 'num_penalties': 44}),
  ]
  # Only the curve has to fit the search.
  cells[1][0]['validation_curve'] = cells[1][0]['validation_curve'][1:]
  found = cells_lib.name_cells(page_records.write(tmp_path, cells))
  assert [one.current for one in found] == [False, True]
  page = _Page(
    page_lib.write([one.record for one in found], tmp_path).read_text()
  )
  assert 'no, a later record does' in page.cells


@pytest.mark.parametrize('value', [0.0, 1.0])
def test_accuracies_at_an_end(tmp_path, value):
  records = page_records.write(
    tmp_path, [cell(f'n{i}', value, 0.7 + i / 50) for i in range(3)]
  )
  text = page_lib.write(records, tmp_path).read_text()
  assert 'all accuracies are the same' in text
  assert not re.search(
    r'[:\[]\s*(NaN|-?Infinity)', text.split('type="module"')[1]
  )


def test_no_imagenet_accuracy_no_figure(tmp_path):
  records = page_records.write(tmp_path, [cell('n', 0.7, None)])
  text = page_lib.write(records, tmp_path).read_text()
  assert 'There is no figure' in text


def test_specifications_are_json(tmp_path):
  """As browsers read it: without NaN, which Python's module would write."""
  records = page_records.write(tmp_path, page_records.of_the_paper(4))
  text = page_lib.write(records, tmp_path).read_text()
  found = re.findall(r"vegaEmbed\('#[\w-]+', (\{.*\}), \{\.\.\.options", text)
  assert len(found) == 3
  for one in found:
    json.loads(one, parse_constant=lambda name: pytest.fail(name))


def test_ties_with_holms_correction(tmp_path):
  """Of 6 differing images p = 2/64, which the correction doubles."""
  cells = [
    cell(name, 0.9, 0.7 + i / 50) for i, name in enumerate(('a', 'b', 'c'))
  ]
  for (_, predictions), right in zip(cells, (450, 456, 455), strict=True):
    predictions['correct'] = np.arange(500) < right
    labels = predictions['label']
    predictions['prediction'] = np.where(
      predictions['correct'], labels, (labels + 1) % 10
    )
  for (fields, _), right in zip(cells, (450, 456, 455), strict=True):
    fields['test']['value'] = right / 500
  records = page_records.write(tmp_path, cells)

  def tied(**options):
    text = page_lib.write(records, tmp_path, **options).read_text()
    return set(re.findall(r'"text": "(\w), ours, tied', text)), (
      'after Holm’s correction' in text
    )

  assert tied() == ({'b', 'c'}, False)
  assert tied(correct_with_holm=True) == ({'a', 'b', 'c'}, True)


def test_no_sentence_takes_the_interval_of_images_for_a_test(tmp_path):
  records = page_records.write(tmp_path, [cell('resnet50', 0.9, 0.76)])
  text = page_lib.write(records, tmp_path).read_text()
  assert 'chance alone' not in text
  assert 'It is no test of the difference' in text
  assert 'cannot be judged' in text


def test_a_top1_of_all_images_or_none_has_log_odds(tmp_path):
  """As of a network that was tested on a handful of images."""
  records = page_records.write(
    tmp_path,
    [
      page_records.cell(f'n{i}', 0.7 + i / 20, top1)
      for i, top1 in enumerate((0.0, 0.5, 0.7, 0.8, 1.0))
    ],
  )
  text = page_lib.write(records, tmp_path).read_text()
  assert 'of 5 networks on 1 dataset' in text
