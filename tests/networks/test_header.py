"""The fields of a classifier in a header; all others are in test_weights."""

import dataclasses

import pytest

from tf_transfer import contract, errors, networks
from tf_transfer.networks import recipe, weights
from tf_transfer.runtime import files
from tf_transfer.transfer.training import train_step

CONTRACT = contract.Contract(64, (127.5,) * 3, (127.5,) * 3)
PLAIN = weights.Header('inception_small', {}, CONTRACT, num_classes=2)
NAMED = dataclasses.replace(
  PLAIN, classes=('cat', 'dog'), temperature=1.5, resize='whole_image'
)


@pytest.fixture(scope='module')
def variables():
  model = networks.build('inception_small', num_classes=2)
  return train_step.initial_variables(model, 64, seed=0)


def test_header_without_these_fields_is_as_before():
  fields = PLAIN.to_json()
  assert fields['format'] == 2
  assert not {'classes', 'temperature', 'resize'} & fields.keys()


@pytest.mark.parametrize(
  'changes',
  [
    {'classes': ('cat', 'dog')},
    {'temperature': 2.0},
    {'resize': 'crop_then_resize'},
  ],
)
def test_round_trip_of_one_field(changes):
  header = dataclasses.replace(PLAIN, **changes)
  fields = header.to_json()
  # Programs that know formats 1 to 3 say so in one line.
  assert fields['format'] == 4
  assert weights.Header.from_json(fields) == header


def test_round_trip_of_a_file(tmp_path, variables):
  path = tmp_path / 'named.safetensors'
  weights.save(path, NAMED, variables)
  assert weights.read(path)[0] == NAMED
  net = networks.load(path)
  assert net.header == NAMED
  assert net.sha256 == weights.sha256(path)


@pytest.mark.parametrize(
  ('old', 'new'), [(b'cat', b'cow'), (b'1.5', b'1.7'), (b'whole_', b'whole-')]
)
def test_digest_covers_the_fields(tmp_path, variables, old, new):
  path = tmp_path / 'named.safetensors'
  weights.save(path, NAMED, variables)
  data = path.read_bytes()
  assert data.count(old) == 1
  path.write_bytes(data.replace(old, new))
  with pytest.raises(errors.InputError, match='damaged|resize'):
    weights.read(path)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'classes': ['cat']}, 'classes: 1 names of 2 classes'),
    ({'classes': [1, 2]}, 'classes'),
    ({'temperature': 0}, 'temperature'),
    ({'temperature': 'warm'}, 'temperature'),
    ({'resize': 'stretch'}, 'resize'),
    ({'format': 2}, 'format 2 has no field classes'),
  ],
)
def test_fields_that_are_wrong(changes, message):
  with pytest.raises(errors.InputError, match=message):
    weights.Header.from_json({**NAMED.to_json(), **changes})


MODERN = dataclasses.replace(
  PLAIN,
  num_classes=0,
  imagenet_top1=0.8,
  imagenet_measure='linear_probe',
  recipe=recipe.Recipe(
    supervision='self_supervised', epochs=100, sources={'epochs': 'a paper'}
  ),
)


@pytest.mark.parametrize(
  'header',
  [
    MODERN,
    dataclasses.replace(PLAIN, imagenet_measure='zero_shot'),
    dataclasses.replace(PLAIN, recipe=recipe.Recipe(mixup=False)),
    dataclasses.replace(NAMED, imagenet_measure='knn'),
  ],
)
def test_round_trip_of_a_measure_and_a_recipe(header):
  fields = header.to_json()
  assert fields['format'] == 5
  assert weights.Header.from_json(fields) == header


def test_round_trip_of_a_file_of_format_5(tmp_path, variables):
  path = tmp_path / 'modern.safetensors'
  weights.save(path, MODERN, variables)
  assert weights.read_header(path) == MODERN
  assert weights.sha256(path) == files.sha256(path)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'imagenet_measure': 'guess'}, 'imagenet_measure'),
    ({'format': 4}, 'format 4 has no field imagenet_measure'),
    ({'format': 2}, 'format 2 has no field'),
    (
      {'recipe': {**MODERN.recipe.to_json(), 'supervision': 'x'}},
      'supervision',
    ),
    ({'recipe': {**MODERN.recipe.to_json(), 'epochs': 0}}, 'epochs'),
    ({'recipe': {**MODERN.recipe.to_json(), 'mixup': 0.2}}, 'mixup'),
  ],
)
def test_fields_of_format_5_that_are_wrong(changes, message):
  with pytest.raises(errors.InputError, match=message):
    weights.Header.from_json({**MODERN.to_json(), **changes})


def test_recipe_of_some_of_the_fields_is_refused():
  """Format 5 has all of them: one that is missing was taken out."""
  fields = MODERN.to_json()
  del fields['recipe']['epochs']
  with pytest.raises(errors.InputError, match='recipe'):
    weights.Header.from_json(fields)


@pytest.mark.parametrize(
  ('source', 'tag'),
  [
    ('timm/resnet50.a1_in1k', 'a1_in1k'),
    ('timm/resnet50', ''),
    ('resnet50-0676ba61.pth', ''),
    ('other/resnet50.a1_in1k', ''),
    ('', ''),
  ],
)
def test_tag_of_timm(source, tag):
  assert dataclasses.replace(PLAIN, source=source).tag == tag
