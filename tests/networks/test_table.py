"""Tests of the table of networks: sizes, paths, titles, ImageNet top-1."""

import csv
import hashlib
import importlib.resources
import json
import pathlib
import re

import numpy as np
import pytest

from tests.networks import drawn
from tf_transfer import errors, networks
from tf_transfer.convert_weights import sources


@pytest.mark.parametrize('name', networks.TABLE)
def test_sizes_are_those_of_the_table(name):
  row = networks.row(name)
  variables = drawn.shapes(name)
  backbone = [
    int(np.prod(v.shape))
    for path, v in variables.items()
    if path.startswith('params/backbone/')
  ]
  assert sum(backbone) == row.parameters
  assert variables['params/head/kernel'].shape == (row.feature_dim, 1000)
  roots = {tuple(path.split('/')[:2]) for path in variables}
  statistics = {('batch_stats', 'backbone')}
  assert roots == {
    ('params', 'backbone'),
    ('params', 'head'),
    *(statistics if networks.has_batch_norm(name) else ()),
  }


# {network: digest of its variables}.
SNAPSHOT = pathlib.Path(__file__).parent / 'parameter_paths.json'


def digest(variables):
  """SHA-256 over the sorted lines `path (shape)` of all variables."""
  lines = sorted(f'{path} {tuple(v.shape)}' for path, v in variables.items())
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def test_every_network_has_a_digest():
  digests = json.loads(SNAPSHOT.read_text())
  assert digests.keys() == networks.TABLE.keys(), (
    f'{SNAPSHOT.name} has other networks than the table: test_parameter_paths_'
    'stay prints the line of a new one'
  )


@pytest.mark.parametrize('name', networks.TABLE)
def test_parameter_paths_stay(name):
  """Weights files hold them: those of before would not load any more."""
  actual = digest(drawn.shapes(name))
  assert json.loads(SNAPSHOT.read_text()).get(name) == actual, (
    f'the variables of {name} are not those of {SNAPSHOT.name}. If the network '
    f'is new, or the change is meant, its line there is\n'
    f'  "{name}": "{actual}"'
  )


def test_digest_sees_a_path_and_a_shape():
  variables = drawn.shapes('inception_small')
  path, value = next(iter(variables.items()))
  rest = {p: v for p, v in variables.items() if p != path}
  changed = (
    variables,
    {**rest, f'{path}s': value},
    {**rest, path: value.update(shape=(*value.shape, 1))},
  )
  assert len({digest(c) for c in changed}) == 3
  assert digest(dict(reversed(variables.items()))) == digest(variables)


def test_page_on_adding_a_network_names_what_there_is():
  root = SNAPSHOT.parents[2]
  page = (root / 'docs' / 'add_a_network.md').read_text()
  paths = re.findall(r'`((?:[a-z_]+/)+[a-z_0-9.]*)`', page)
  assert len(paths) > 15
  assert [path for path in paths if not (root / path).exists()] == []


def test_row_of_an_unknown_network():
  with pytest.raises(errors.InputError, match='did you mean resnet50'):
    networks.row('resnet5')


def test_every_network_has_a_title_of_its_own():
  titles = [networks.title(name) for name in networks.TABLE]
  assert all(row.title for row in networks.TABLE.values())
  assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
  ('name', 'title'),
  [
    ('resnet50', 'ResNet-50'),
    ('inception_resnet_v2', 'Inception-ResNet v2'),
    ('resnet50 (a1b2c3)', 'ResNet-50 (a1b2c3)'),
    ('mine (a1b2c3)', 'mine (a1b2c3)'),
    ('my/weights.safetensors', 'my/weights.safetensors'),
  ],
)
def test_title(name, title):
  """What a label adds is kept; a path is its own title."""
  assert networks.title(name) == title


def paper_top1():
  """The paper's ImageNet top-1 of the networks that it trained, by name."""
  folder = importlib.resources.files('tf_transfer.study.paper') / 'data'
  rows = csv.DictReader((folder / 'networks.csv').read_text().splitlines())
  return {
    row['network']: float(row['imagenet_top1_paper_percent']) / 100
    for row in rows
  }


@pytest.mark.parametrize('name', networks.TABLE)
def test_imagenet_top1_is_that_of_its_source(name):
  row = networks.row(name)
  paper = paper_top1()
  if name in paper:
    assert row.imagenet_top1 == pytest.approx(paper[name], abs=1e-9)
    assert row.imagenet_top1_source.startswith('Kornblith et al. (2019)')
  elif row.imagenet_top1 is None:
    # Nobody publishes weights, or none of training on ImageNet's labels alone.
    assert row.imagenet_top1_source == ''
    assert name == 'inception_small' or (
      sources.get_source(name).recipe.trained_on != 'imagenet'
    )
  else:
    source = sources.get_source(name)
    assert row.imagenet_top1 == source.imagenet_top1
    assert source.imagenet_top1_source.startswith(row.imagenet_top1_source)


def test_has_auxiliary():
  assert networks.has_auxiliary('inception_v3')
  assert not networks.has_auxiliary('resnet50')


# The smallest images that Keras and torchvision say that these take.
PUBLISHED_MINIMA = {
  'inception_v3': 75,  # Keras and torchvision
  'inception_resnet_v2': 75,  # Keras
  'densenet121': 29,  # torchvision, as those below
  'resnet50': 1,
  'mobilenet_v2': 1,
}


@pytest.mark.parametrize(('name', 'least'), PUBLISHED_MINIMA.items())
def test_smallest_images_are_those_that_others_publish(name, least):
  assert networks.min_image_size(name) == least


_TRACED_ALWAYS = (('inception_v3', False), ('inception_small', True))


@pytest.mark.parametrize(
  ('name', 'auxiliary_head'),
  [
    pytest.param(
      name,
      auxiliary_head,
      marks=()
      if (name, auxiliary_head) in _TRACED_ALWAYS
      else pytest.mark.slow,
    )
    for name in networks.TABLE
    for auxiliary_head in (False, True)
    if not auxiliary_head or networks.has_auxiliary(name)
  ],
)
def test_of_smaller_images_nothing_is_left(name, auxiliary_head):
  """At the table's smallest size the network can be traced, below it not."""
  model = networks.build(name, auxiliary_head=auxiliary_head)
  least = networks.min_image_size(name, auxiliary_head)
  assert networks.expected_variables(model, least)
  networks.check_image_size(name, least, auxiliary_head)
  with pytest.raises(errors.InputError, match='cannot work on images of'):
    networks.expected_variables(model, least - 1)
  with pytest.raises(errors.InputError, match=f'at least {least} px, not'):
    networks.check_image_size(name, least - 1, auxiliary_head)


def test_options_of_a_weights_file():
  networks.check_options('inception_v3', {'use_scale': False})
  networks.check_options('resnet50', {'epsilon': 1, 'stride_in': 'first_1x1'})
  for options in ({'depths': (1, 1, 1, 1)}, {'parent': None}, {'name': 'x'}):
    with pytest.raises(errors.InputError, match='unknown option of resnet50'):
      networks.check_options('resnet50', options)


@pytest.mark.parametrize(
  ('option', 'value'),
  [('drop_path', 2.0), ('epsilon', -1.0), ('pretrained_size', True)],
)
def test_a_wrong_option_is_named(option, value):
  with pytest.raises(errors.InputError, match=f'option {option}: expected'):
    networks.check_options('vit_tiny', {option: value})


def test_options_of_every_source_are_known():
  for name in networks.TABLE.keys() - {'inception_small'}:
    for source in sources.list_sources(name):
      networks.check_options(name, source.options)


def test_every_network_is_of_a_family():
  families = {networks.family(name) for name in networks.TABLE}
  assert families == {
    *('Inception', 'ResNet', 'DenseNet', 'MobileNet', 'NASNet'),
    *('EfficientNet', 'ConvNeXt', 'ViT', 'DINOv2', 'CLIP', 'SigLIP'),
  }
  assert networks.family('resnet50') == networks.family('resnet152') == 'ResNet'
  assert networks.family('of my own') == 'of my own'
