"""What a repository's config.json says of its weights, and what is refused."""

import json

import numpy as np
import pytest
import safetensors.numpy

from tests.tools import hub_server
from tf_transfer import errors, networks
from tf_transfer.convert_weights import hub, hub_config, sources, table
from tf_transfer.networks import published_timm, recipe


def read(tmp_path, repository, content, head=None):
  """Reads a config; `head` is the shape of the head in model.safetensors."""
  config, weights = tmp_path / 'config.json', tmp_path / 'model.safetensors'
  config.write_bytes(content)
  tensors = {'fc.weight': np.zeros(head, np.float32)} if head else {}
  safetensors.numpy.save_file(tensors, weights)
  return hub_config.read(hub.Repository(repository, config, weights))


def changed(**fields):
  """A config with other fields at its top."""
  return json.dumps(
    {**json.loads(hub_server.config('resnet50')), **fields}
  ).encode()


def read_error(tmp_path, content):
  with pytest.raises(errors.InputError) as caught:
    read(tmp_path, 'timm/resnet50.a1_in1k', content)
  assert str(caught.value).startswith('timm/resnet50.a1_in1k: ')
  return str(caught.value)


@pytest.mark.parametrize(
  ('network', 'source'),
  [
    (network, source)
    for network, candidates in table.SOURCES.items()
    for source in candidates
    if source.file.startswith('timm/')
  ],
  ids=lambda value: getattr(value, 'file', value),
)
def test_every_checkpoint_of_the_table_is_the_same_network(network, source):
  """By its architecture's name: the variables, and what the options change."""
  name, _ = published_timm.split_name(source.file)
  own = hub_config.choose(name, source.file)
  assert own.network == network
  assert own.row is source
  # As is another of the architecture, of which the table knows nothing.
  other = hub_config.choose(name, f'{source.file}_zzz', source.num_classes > 0)
  if source.file not in hub_config._EXCEPTIONS:
    assert other.network == network
    assert other.row.rules == source.rules
    assert other.row.options == source.options
  else:
    assert other.row.options != source.options


@pytest.mark.parametrize('name', hub_config._VARIANTS)
def test_variants_are_not_in_the_table_themselves(name):
  base, options = hub_config._VARIANTS[name]
  bases = hub_config.architectures().get(base, ())
  candidates = hub_config.architectures().get(name, ())
  assert len(candidates) == len(bases)
  for one in candidates:
    assert one.network in [other.network for other in bases]
    assert one.row.options.items() >= options.items()
    # The backbone has these options.
    networks.build(one.network, **one.row.options)


def test_checkpoint_of_the_table_is_described_as_there(tmp_path):
  content = hub_server.config('resnet50')
  network, source, notes = read(tmp_path, 'timm/resnet50.a1_in1k', content)
  row = sources.get_source('resnet50', 'timm')
  assert network == 'resnet50'
  for field in ('contract', 'recipe', 'license', 'num_classes', 'options'):
    assert getattr(source, field) == getattr(row, field)
  assert source.imagenet_top1 == pytest.approx(row.imagenet_top1, abs=1e-9)
  assert '224 px, crop fraction 0.95' in source.imagenet_top1_source
  assert not notes


def test_images_are_those_of_the_config(tmp_path):
  content = hub_server.config(
    'inception_v3',
    input_size=[3, 299, 299],
    mean=[0.5, 0.25, 0.125],
    std=[0.5, 1.0, 0.25],
    crop_pct=0.9,
    interpolation='bilinear',
  )
  _, source, _ = read(tmp_path, 'timm/inception_v3.gluon_in1k', content)
  contract = source.contract
  assert contract.image_size == 299
  assert contract.mean == (127.5, 63.75, 31.875)
  assert contract.std == (127.5, 255.0, 63.75)
  assert (contract.crop_fraction, contract.interpolation) == (0.9, 'bilinear')
  assert contract.antialias
  assert contract.channels == 'rgb'
  # Recipe and top-1 are those of this checkpoint, not of the other.
  row = sources.get_source('inception_v3', 'timm_gluon')
  assert source.recipe == row.recipe
  assert source.imagenet_top1 == pytest.approx(row.imagenet_top1, abs=1e-9)


def test_top1_at_another_size_says_so(tmp_path):
  """timm's table has resnet50.a1_in1k at 224 and 288 px."""
  content = hub_server.config('resnet50', input_size=[3, 160, 160])
  _, source, _ = read(tmp_path, 'timm/resnet50.a1_in1k', content)
  assert source.imagenet_top1 == pytest.approx(0.8124, abs=1e-9)
  assert '288 px, crop fraction 1' in source.imagenet_top1_source


def test_unknown_checkpoint_claims_nothing(tmp_path):
  content = hub_server.config('resnet50')
  _, source, notes = read(tmp_path, 'timm/resnet50.zzz', content)
  assert source.imagenet_top1 is None
  assert source.imagenet_top1_source == source.license == ''
  assert source.recipe == recipe.UNKNOWN
  assert notes == ['timm publishes no ImageNet top-1 of timm/resnet50.zzz']


@pytest.mark.parametrize(
  ('tag', 'supervision', 'trained_on'),
  [
    ('d1_in1k', 'supervised', 'imagenet'),
    ('in21k_ft_in1k', 'supervised', 'ImageNet-21k, then imagenet'),
    ('fb_wsl_ig1b_ft_in1k', 'supervised', 'Instagram-1B, then imagenet'),
    ('lvd142m', 'self_supervised', 'LVD-142M'),
    ('openai', 'language', "OpenAI's 400M pairs"),
  ],
)
def test_pretraining_is_as_the_tag_says(tmp_path, tag, supervision, trained_on):
  content = hub_server.config('resnet50')
  _, source, _ = read(tmp_path, f'timm/resnet50.{tag}', content)
  assert source.recipe.supervision == supervision
  assert source.recipe.trained_on == trained_on
  assert set(source.recipe.factors.values()) == {None}


def test_license_and_classes_are_those_of_the_config(tmp_path):
  content = hub_server.config(
    'tf_efficientnetv2_b3', num_classes=21843, license='cc-by-nc-4.0'
  )
  _, source, _ = read(tmp_path, 'timm/tf_efficientnetv2_b3.in21k', content)
  assert source.num_classes == 21843
  assert source.license == 'cc-by-nc-4.0'
  assert source.imagenet_top1 is None


@pytest.mark.parametrize(
  ('offset', 'rows', 'num_classes'),
  [(1, 1001, 1001), (1, 1000, 1000), (0, 1001, 1000), (None, 1001, 1000)],
)
def test_background_class(tmp_path, offset, rows, num_classes):
  """As in weights that were ported from TF-Slim; timm drops it."""
  offsets = {} if offset is None else {'label_offset': offset}
  content = hub_server.config('resnet50', **offsets)
  name = 'timm/resnet50.zzz'
  _, source, _ = read(tmp_path, name, content, (rows, 2))
  assert source.num_classes == num_classes
  assert source.background == (num_classes == 1001)


def test_config_of_an_early_version(tmp_path):
  """Without `pretrained_cfg`: all is at the top."""
  fields = json.loads(hub_server.config('resnet50'))
  flat = {**fields.pop('pretrained_cfg'), **fields}
  name = 'timm/resnet50.a1_in1k'
  assert read(tmp_path, name, json.dumps(flat).encode()) == read(
    tmp_path, name, hub_server.config('resnet50')
  )


def test_another_way_to_crop_is_noted(tmp_path):
  content = hub_server.config('resnet50', crop_mode='squash')
  _, _, notes = read(tmp_path, 'timm/resnet50.a1_in1k', content)
  assert 'crop_mode squash' in notes[0]


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'', 'no JSON'),
    (b'[1]', 'names no architecture'),
    (b'{"model_type": "vit"}', 'names no architecture'),
    (changed(architecture=3), 'architecture: expected str'),
    (changed(pretrained_cfg={}), 'missing required field'),
    (changed(model_args={'act_layer': 'gelu'}), "with act_layer='gelu'"),
    (hub_server.config('resnet50', input_size=[1, 28, 28]), 'three channels'),
    (hub_server.config('resnet50', input_size=[3, 224, 256]), 'square'),
    (hub_server.config('resnet50', std=[0.0, 1.0, 1.0]), 'std: expected'),
    (hub_server.config('resnet50', crop_pct=1.5), 'crop_pct'),
    (hub_server.config('resnet50', interpolation='lanczos'), 'lanczos'),
  ],
)
def test_config_that_cannot_be_used(tmp_path, content, message):
  assert message in read_error(tmp_path, content)


def test_unknown_architecture_names_those_that_are_known(tmp_path):
  message = read_error(tmp_path, hub_server.config('resnet51'))
  assert 'resnet51 of timm has no counterpart here' in message
  assert 'the nearest are resnet50' in message
  for name in ('mobilenetv2_100', 'tf_efficientnetv2_b0'):
    assert name in message
  assert 'A function of one' in message


@pytest.mark.parametrize(
  'arguments', [{'img_size': 224}, {'img_size': [224, 224], 'in_chans': 3}]
)
def test_arguments_of_the_model_that_change_nothing(tmp_path, arguments):
  content = changed(model_args=arguments)
  assert read(tmp_path, 'timm/resnet50.a1_in1k', content)


def test_image_size_of_the_model_is_another(tmp_path):
  assert 'img_size=225' in read_error(
    tmp_path, changed(model_args={'img_size': 225})
  )
