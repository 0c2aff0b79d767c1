"""Writes the tables of fields of docs/configs.md from the declarations.

python -m tests.configs.field_table
"""

import inspect
import pathlib
import re

from tf_transfer import config_fields
from tf_transfer.configs import (
  base,
  choose,
  curves,
  datasets,
  export,
  features,
  fine_tune_quick,
  imagenet,
  leaks,
  merge,
  predict,
  pretrain,
  public_recipes,
  regularizers,
  report,
)

PAGE = pathlib.Path(__file__).parents[2] / 'docs' / 'configs.md'
BEGIN = '<!-- python -m tests.configs.field_table writes what follows. -->\n'
# Heading and group, in the order of the page.
GROUPS = (
  ('`base` and every study', base.Study),
  ('`data`, of every job that opens a dataset', base.Data),
  ('`features`', base.Features),
  ('`logistic_regression`', base.LogisticRegression),
  ('`linear_svm`', base.LinearSVM),
  ('`nearest_neighbors`', base.NearestNeighbors),
  ('`ridge`', base.Ridge),
  ('`fine_tuned`', base.FineTuned),
  ('`random_init`: as `fine_tuned`, but for', base.RandomInit),
  ('`choose`', choose.Choose),
  ('`curves`: the fields of a study, and', curves.Curves),
  (
    '`fine_tune_quick`: the fields of a study, and',
    fine_tune_quick.FineTuneQuick,
  ),
  ('`pretrain`', pretrain.Pretrain),
  (
    '`public_recipes`: the fields of a study, and',
    public_recipes.PublicRecipes,
  ),
  ('`pretrain.pretrain`, as in C5', pretrain.Pretraining),
  ('`regularizers`', regularizers.Regularizers),
  ('`regularizers.tsne`', regularizers.TSNE),
  ('`imagenet`', imagenet.ImageNet),
  ('`datasets`', datasets.Datasets),
  ('`leaks`', leaks.Leaks),
  ('`report`', report.Report),
  ('`merge`', merge.Merge),
  ('`export`', export.Export),
  ('`predict`', predict.Predict),
  ('`features` of a job of its own', features.FeaturesJob),
)


def meanings(group):
  """The comment above each field that a class or its parents declare."""
  result = {}
  for owner in reversed(group.__mro__[:-1]):
    comment = []
    for line in inspect.getsource(owner).splitlines():
      field = re.match(r'  (\w+): ', line)
      if line.startswith('  # '):
        comment.append(line.removeprefix('  # '))
        continue
      if field and field[1] in inspect.get_annotations(owner):
        result[field[1]] = ' '.join(comment)
      comment = []
  return result


def first_sentence(text):
  return re.split(r'(?<=[.\w\')])[.:] (?=[A-Z\'])', f'{text} ', maxsplit=1)[
    0
  ].strip(' .:')


def rows(group):
  """Field, values, default and meaning of each field that is no group."""
  texts = meanings(group)
  own = inspect.get_annotations(group)
  only_defaults = not own and group.__mro__[1] is base.FineTuned
  for name, kind in config_fields.fields(group).items():
    if config_fields.is_group(kind) or name == 'job':
      continue
    if only_defaults and name not in vars(group):
      continue
    if (
      issubclass(group, base.Study)
      and group is not base.Study
      and (name not in own)
    ):
      continue
    default = getattr(group, name)
    shown = f'{default:.6g}' if isinstance(default, float) else repr(default)
    yield name, kind.expected, shown, first_sentence(texts[name])


def render():
  lines = []
  for heading, group in GROUPS:
    lines += [
      f'\n**{heading}**\n',
      '| field | values | default | meaning |',
      '|---|---|---|---|',
    ]
    for row in rows(group):
      name, expected, default, meaning = (x.replace('|', '\\|') for x in row)
      lines.append(f'| `{name}` | {expected} | `{default}` | {meaning} |')
  return '\n'.join(lines).lstrip('\n') + '\n'


def main():
  text = PAGE.read_text()
  end = text.index('\n## ', text.index(BEGIN))
  start = text.index(BEGIN) + len(BEGIN)
  PAGE.write_text(f'{text[:start]}\n{render()}{text[end:]}')


if __name__ == '__main__':
  main()
