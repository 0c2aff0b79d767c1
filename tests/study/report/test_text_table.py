import pytest

from tests.study.report.table_records import record
from tf_transfer.study.report import text_table


def test_table():
  text = text_table.render(
    [
      record('a', 0.751, 0.9482),
      record(
        'longer',
        None,
        0.96,
        solver={'converged': True, 'unconverged_penalties': [1e-6]},
      ),
    ]
  )
  lines = text.splitlines()
  assert lines[0].split() == [
    *('network', 'dataset', 'setting', 'ImageNet', 'val', 'test'),
    *('95', '%', 'interval', 'images', 'chosen', 'converged'),
  ]
  assert '75.1%' in lines[2]
  assert '92.82% to 96.82%' in lines[2]
  assert lines[2].endswith('yes')
  assert 'unknown' in lines[3]
  assert lines[3].endswith('NO')
  assert lines[-2:] == [
    'val and test: top-1 accuracy',
    'interval: of the draw of test images alone, not of training runs',
  ]


def test_the_interval_of_several_runs_is_of_images_and_runs():
  one = record('a', 0.751, 0.9482)
  runs = [{'seed': i, 'test': {'value': v}} for i, v in enumerate((0.9, 0.97))]
  several = {**one, 'network': 'b', 'runs': runs}
  text = text_table.render([one, several])
  assert '92.82% to 96.82%' in text.splitlines()[2]
  assert '92.82% to 96.82%' not in text.splitlines()[3]
  assert text.endswith(
    'interval: of the draw of test images and of training runs; where there is '
    'one run of test images alone'
  )


@pytest.mark.parametrize(
  ('alignment', 'lines'),
  [
    ('lr', ['net     DTD', '---  ------', 'a      done', 'b    CANNOT']),
    ('l', ['net  DTD', '---  ------', 'a    done', 'b    CANNOT']),
  ],
)
def test_aligned(alignment, lines):
  rows = [('a', 'done'), ('b', 'CANNOT')]
  text = text_table.aligned(rows, ('net', 'DTD'), alignment)
  assert text.splitlines() == lines


def test_numbers_are_printed_as_they_are_given():
  text = text_table.aligned([('1.50', '007')], ('n', 'code'), 'rr')
  assert text.splitlines()[-1].split() == ['1.50', '007']


def test_a_table_without_rows_has_its_headers():
  assert text_table.aligned([], ('a', 'bc')).splitlines() == ['a  bc', '-  --']


def test_chosen():
  values = {'penalty': 0.017783, 'view': 'whole_image'}
  assert text_table.chosen({'chosen': values}) == (
    'penalty 0.0178, view whole_image'
  )


def test_names_do_not_reach_the_terminal_as_commands():
  text = text_table.aligned([('a\x1b[2J\u202e', 'two\nlines\t')], ('x', 'y'))
  assert '\x1b' not in text
  assert len(text.splitlines()) == 3
  assert r'a\x1b[2J\u202e' in text
  assert r'two\nlines\t' in text


def of_folds(*choices):
  folds = [
    {'fold': number, 'examples': 100, 'value': 0.9, 'chosen': chosen}
    for number, chosen in enumerate(choices)
  ]
  return {**record('a', 0.751, 0.9), 'chosen': choices[0], 'folds': folds}


@pytest.mark.parametrize(
  ('choices', 'text'),
  [
    (({'penalty': 0.1}, {'penalty': 0.1}), 'penalty 0.1'),
    (({'penalty': 10.0}, {'penalty': 0.1}), 'penalty 0.1 to 10'),
    (
      ({'steps': 3, 'view': 'crop'}, {'steps': 3, 'view': 'center'}),
      'steps 3, view center or crop',
    ),
    (({}, {}), 'nothing to choose'),
  ],
)
def test_choices_of_folds(choices, text):
  assert text_table.chosen(of_folds(*choices)) == text


def test_intervals_of_folds_are_told_from_others():
  folded = of_folds({}, {})
  own = 'of the draw of images, trained on and tested in folds'
  assert text_table.intervals_text([folded]) == own
  assert text_table.intervals_text([folded, record('b', 0.7, 0.8)]) == (
    'of the draw of test images alone, not of training runs; '
    f'of cross-validation {own}'
  )
