"""The report without a browser: what it says, and why."""

import base64
import csv
import html.parser
import json
import re

import ml_collections
import numpy as np
import pytest
import scipy.special
import scipy.stats
from tf_transfer.configs import base

from tests.study.report import page_records
from tf_transfer import errors
from tf_transfer.networks import recipe
from tf_transfer.study.analysis import accuracy_table
from tf_transfer.study.paper import differences, numbers
from tf_transfer.study.report import answer, charts
from tf_transfer.study.report import page as page_lib

FIXED = 'logistic_regression'


def cell(network, value, top1, dataset='pets', **more):
  return page_records.record(network, dataset, FIXED, value, top1, **more)


def answered(cells):
  return answer.of([fields for fields, _ in cells], FIXED)


def test_the_answer_of_the_papers_numbers_is_the_papers():
  found = answer.of(numbers.records(), FIXED)
  assert found.verdict == answer.YES
  assert 'r = 0.99, 95 % interval' in found.sentence
  assert 'over 16 networks and 12 datasets' in found.sentence
  assert found.remarks == (
    # Of the same numbers by SciPy.
    f"By ranks alone, Spearman's ρ = {_spearman():.2f}, 95 % interval 0.92 to "
    '1.00.',
    f"The paper's 16 networks on the same 12 datasets: "
    f'{answer.coefficient(found.correlation)}.',
  )


def _spearman():
  found = accuracy_table.of(numbers.records(), FIXED)
  mean = scipy.special.logit(found.accuracy).mean(axis=1)
  return scipy.stats.spearmanr(found.imagenet_top1, mean).statistic


@pytest.mark.parametrize(
  ('count', 'words'),
  [
    (1, 'no correlation of 1 network:'),
    (2, 'no correlation of 2 networks:'),
    (3, 'over 3 networks and 1 dataset, without an interval'),
  ],
)
def test_too_few_networks_cannot_say(count, words):
  values = np.linspace(0.6, 0.9, count)
  found = answered(
    [cell(f'n{i}', v, 0.7 + i / 50) for i, v in enumerate(values)]
  )
  assert found.verdict == answer.CANNOT_SAY
  assert words in found.sentence


def test_an_interval_that_holds_zero_cannot_say():
  values = (0.7, 0.9, 0.6, 0.9, 0.7, 0.8, 0.6)
  found = answered(
    [cell(f'n{i}', v, 0.7 + i / 50) for i, v in enumerate(values)]
  )
  assert found.correlation.low < 0 < found.correlation.high
  assert found.verdict == answer.CANNOT_SAY
  assert 'zero is not excluded' in found.sentence


def test_worse_on_imagenet_and_better_in_transfer_is_no():
  values = (0.9, 0.87, 0.88, 0.8, 0.75, 0.72, 0.6)
  found = answered(
    [cell(f'n{i}', v, 0.7 + i / 50) for i, v in enumerate(values)]
  )
  assert found.verdict == answer.NO


def test_what_is_left_out_is_said():
  cells = [cell(f'n{i}', 0.6 + i / 20, 0.7 + i / 50) for i in range(6)]
  cells.append(cell('unknown', 0.7, None))
  found = answered(cells)
  assert len(found.networks) == 6
  assert any('unknown: unknown.' in remark for remark in found.remarks)
  # One network on one more dataset: that dataset would leave no other.
  cells.append(cell('n0', 0.7, 0.7, 'dtd'))
  found = answered(cells)
  assert (len(found.networks), found.datasets) == (6, ('pets',))
  assert any('too few networks being on them: DTD' in r for r in found.remarks)


def topics(fields):
  found = differences.of(fields)
  return found, {reason.topic: reason.text for reason in found.reasons}


def test_a_difference_is_explained_by_what_the_record_says():
  fields, _ = page_records.record(
    *('inception_v3', 'pets', FIXED, 0.9, 0.78),
    recipe=recipe.Recipe(True, True, False, None, 'imagenet', 'ours').to_json(),
    image_size=128,
    preprocessing='resize_then_crop',
    notes=['three images were lost'],
    skipped=['a.jpg', 'b.jpg'],
    solver={'converged': False, 'unconverged_penalties': [1e-6]},
    search={**page_records.LOGISTIC, 'num_penalties': 12},
  )
  found, why = topics(fields)
  paper = next(
    r['test']['value']
    for r in numbers.records()
    if (r['network'], r['dataset'], r['setting'])
    == ('inception_v3', 'pets', FIXED)
  )
  assert found.paper == paper
  assert found.difference == pytest.approx(fields['test']['value'] - paper)
  assert 'ImageNet top-1 78.0% here, 78.6% there' in why['weights']
  assert (
    'Recipe here: with BN scale, label smoothing; without dropout; not known '
    'auxiliary head; ours. There: BN scale;'
  ) in why['weights']
  assert why['search'] == 'penalties 12 (paper: 45)'
  texts = [reason.text for reason in found.reasons]
  assert 'tested on 500 of 3,669 images' in texts
  assert '2 corrupt images left out' in texts
  assert 'three images were lost' in texts
  assert 'images of 128 px, in the paper 299 px' in texts
  assert any('resize then crop' in text for text in texts)
  assert 'the final fit did not converge' in texts
  assert 'our draw' in why['validation split']


@pytest.mark.parametrize('given', [recipe.UNKNOWN.to_json(), ''])
def test_a_recipe_that_nobody_knows(given):
  fields, _ = page_records.record(
    *('resnet50', 'dtd', FIXED, 0.7, 0.769), recipe=given
  )
  _, why = topics(fields)
  assert 'Recipe here: not recorded. There:' in why['weights']


def test_nothing_is_said_without_ground():
  """As the paper did it, on an official split: its weights and the reading."""
  _, why = topics(page_records.record('resnet50', 'dtd', FIXED, 0.7, 0.769)[0])
  assert set(why) == {'weights', 'images', 'reading'}
  assert why['images'] == 'tested on 500 of 1,880 images'


def test_training_is_compared_with_the_papers_search():
  fields, _ = page_records.record('resnet50', 'dtd', 'fine_tuned', 0.7, 0.769)
  _, why = topics(fields)
  assert 'steps 60 (paper: 20,000)' in why['search']
  assert 'batch size 32 (paper: 256)' in why['search']
  assert 'learning rate max' not in why['search']
  assert why['convergence'] == '1 of 4 trials diverged'


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('search', 'halving', 'search halving (paper: exhaustive)'),
    ('refit_on_trainval', False, 'final run no (paper: yes)'),
    ('precision', 'bfloat16', 'precision bfloat16 (paper: float32)'),
    ('early_stopping', True, 'stop early yes (paper: no)'),
    ('gradient_accumulation_steps', 4, 'accumulation 4 (paper: 1)'),
    ('min_epochs', 100, 'min epochs 100 (paper: 0)'),
  ],
)
def test_each_departure_from_the_papers_training_is_said(field, value, words):
  papers = base.fine_tuned_fields().to_dict()

  def why(search):
    return topics(
      page_records.record(
        *('resnet50', 'dtd', 'fine_tuned', 0.7, 0.769), search=search
      )[0]
    )[1]

  assert why({**papers, field: value})['search'] == words
  # The grid trained whole, with a word on what halving would have saved.
  assert 'search' not in why({**papers, 'search': 'both'})


def test_a_cell_that_the_paper_lacks_says_what_it_lacks():
  found, why = topics(cell('mine', 0.7, 0.7, 'digits')[0])
  assert found.paper is None
  assert set(why) == {'network not in the paper', 'dataset not in the paper'}


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


def test_downloads_hold_the_tables(tmp_path):
  records = page_records.write(
    tmp_path, [cell('resnet50', 0.9, 0.76), cell('mine', 0.8, 0.7)]
  )
  page = _Page(page_lib.write(records, tmp_path).read_text())
  assert set(page.links) == {
    *('cells.csv', 'hyperparameters.csv', 'provenance.csv'),
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
  alike = page_lib.write(records[:1], tmp_path).read_text()
  assert '<section id="recipes"' not in alike


def test_a_later_record_of_a_cell_counts(tmp_path):
  cells = [
    cell('n', 0.7, 0.7),
    cell('n', 0.8, 0.7, search={**page_records.LOGISTIC, 'num_penalties': 44}),
  ]
  # Only the curve has to fit the search.
  cells[1][0]['validation_curve'] = cells[1][0]['validation_curve'][1:]
  found = page_lib.cells(page_records.write(tmp_path, cells))
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


def test_the_job(tmp_path, capsys):
  config = ml_collections.ConfigDict(
    {'ledger': str(tmp_path / 'none'), 'correct_with_holm': False}
  )
  with pytest.raises(errors.InputError, match='no records in'):
    page_lib.run(config, tmp_path / 'page')
  page_records.write(tmp_path / 'study', [cell('n', 0.7, 0.7)])
  config.ledger = str(tmp_path / 'study')
  page_lib.run(config, tmp_path / 'page')
  out = capsys.readouterr().out
  assert out.startswith('Cannot say. Logistic regression: no correlation of 1')
  assert (tmp_path / 'page' / 'report.html').stat().st_size > 1_000_000


def test_specifications_are_json(tmp_path):
  """As browsers read it: without NaN, which Python's module would write."""
  records = page_records.write(tmp_path, page_records.of_the_paper(4))
  text = page_lib.write(records, tmp_path).read_text()
  found = re.findall(r"vegaEmbed\('#[\w-]+', (\{.*\}), \{\.\.\.options", text)
  assert len(found) == 3
  for one in found:
    json.loads(one, parse_constant=lambda name: pytest.fail(name))


def test_curves_of_the_papers_grid():
  """A line for each weight decay of the grid, through all learning rates."""
  search = base.fine_tuned_fields().to_dict()
  values = np.linspace(0.5, 0.9, 56).tolist()
  fields, _ = page_records.record(
    *('resnet50', 'pets', 'fine_tuned', 0.8, 0.76),
    search=search,
    trials=page_records.trials(search, values),
    validation_curve=values,
    chosen={'learning_rate': 0.1, 'weight_decay': 1e-3},
  )
  found = charts.curves([fields], ['a cell'])
  rows = found['learning rate']['datasets']['rows']
  lines = {row['line']: [] for row in rows}
  for row in rows:
    lines[row['line']].append(row['x'])
  assert list(lines) == [
    *('0', '1e-06', '3.2e-06', '1e-05', '3.2e-05', '0.0001', '0.00032'),
    '0.001',
  ]
  for rates in lines.values():
    np.testing.assert_allclose(rates, np.logspace(-4, -1, 7))
  (chosen,) = (row for row in rows if row['chosen'])
  assert (chosen['line'], chosen['y']) == ('0.001', 0.9)


def test_ties_with_holms_correction(tmp_path):
  """Of 6 differing images p = 2/64, which the correction doubles."""
  cells = [
    cell(name, 0.9, 0.7 + i / 50) for i, name in enumerate(('a', 'b', 'c'))
  ]
  for (_, predictions), right in zip(cells, (450, 456, 455), strict=True):
    predictions['correct'] = np.arange(500) < right
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
