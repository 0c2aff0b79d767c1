"""Tests of the table that --list prints."""

import re

import pytest

from tf_transfer.convert_weights import listing, table


def lines_of(network):
  """Splits the lines of a network into cells, the file's name last."""
  lines = [line.split(maxsplit=4) for line in listing.render().splitlines()]
  return [line for line in lines if line[0] == network]


def test_every_source_has_a_line():
  lines = listing.render().splitlines()
  assert [line.split()[:2] for line in lines[1:]] == [
    [network, source.name]
    for network, sources in table.SOURCES.items()
    for source in sources
  ]


def test_a_line():
  assert lines_of('resnet50')[0] == [
    'resnet50',
    'slim',
    '1000',
    '75.2%',
    'resnet_v1_50_2016_08_28.tar.gz -> resnet_v1_50.ckpt',
  ]
  lines = listing.render().splitlines()
  start = next(
    i for i, line in enumerate(lines) if line.startswith('resnet50 ')
  )
  column = lines[0].index('file')
  for line, source in zip(
    lines[start:], table.SOURCES['resnet50'], strict=False
  ):
    assert line[column:] == source.file


@pytest.mark.parametrize('size', ['mobile', 'large'])
def test_a_file_that_is_kept_under_another_name(size):
  file = lines_of(f'nasnet_{size}')[1][-1]
  assert file == f'nasnet_{size}.h5, published as NASNet-{size}.h5'


def recipe_of(name):
  """Splits the line of a checkpoint of timm into cells by its columns."""
  header, *lines = listing.render_recipes().splitlines()
  line = next(line for line in lines if line.split()[0] == f'timm/{name}')
  return dict(
    zip(re.split(r'  +', header), re.split(r'  +', line), strict=True)
  )


def test_a_recipe():
  assert recipe_of('resnet50.tv2_in1k') == {
    'source': 'timm/resnet50.tv2_in1k',
    'top-1': '80.8%',
    'px': '224',
    'smoothing': 'yes',
    'dropout': 'no',
    'mixup': 'yes',
    'CutMix': 'yes',
    'BCE': 'no',
    'EMA': 'yes',
    'distilled': 'no',
    'epochs': '600',
    'trained at': '176 px',
    'augmentation': 'TrivialAugment',
    'trained on': 'imagenet',
  }


def test_what_is_not_known_of_a_recipe_is_a_question_mark():
  cells = recipe_of('resnet50.c1_in1k')
  assert cells['mixup'] == cells['epochs'] == cells['augmentation'] == '?'


def test_the_recipes_of_an_architecture_are_beside_each_other():
  lines = listing.render_recipes().splitlines()[1:]
  architectures = [line.split('.')[0] for line in lines]
  assert architectures == sorted(architectures)
  assert sum(a == 'timm/resnet50' for a in architectures) == 18
