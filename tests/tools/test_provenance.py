"""Tests of what a weights file claims, of the published file and of others.

Files are synthetic: one that has to be the published one is put into the row
by its hash.
"""

import dataclasses
import hashlib
import inspect

import numpy as np
import pytest

from tests.golden import rule
from tests.tools import checkpoint_files
from tf_transfer import convert_weights, errors
from tf_transfer.convert_weights import (
  provenance,
  sources,
  table,
)
from tf_transfer.networks import recipe, weights
from tf_transfer.runtime import files

pytestmark = pytest.mark.usefixtures('traced_once')


def written(path, source, network):
  path.parent.mkdir(exist_ok=True)
  checkpoint_files.write(path, rule.checkpoint(source, network, 2.0))
  return path


def converted(network, path, source=None, **arguments):
  """The header on disk, and what was said."""
  said = []
  output = path.parent / 'out.safetensors'
  convert_weights.convert(
    network, path, output, source, say=said.append, **arguments
  )
  return weights.read_header(output), said


def claims_nothing(header):
  assert header.imagenet_top1 is None
  assert header.imagenet_top1_source == ''
  assert header.license == ''
  assert header.recipe == recipe.Recipe(bn_scale=True)


def test_another_file_than_torchvisions(tmp_path):
  path = tmp_path / 'mobilenet_v2-7ebf99e0.pth'
  written(path, 'torchvision', 'mobilenet_v2')
  header, said = converted('mobilenet_v2', path)
  claims_nothing(header)
  (line,) = said
  assert 'not known to be mobilenet_v2-b0353104.pth' in line
  assert 'Expected a SHA-256 that begins with b0353104;' in line
  assert f'its SHA-256 begins with {files.sha256(path)[:8]}.' in line
  assert 'Its ImageNet top-1, recipe and license are recorded as' in line
  assert 'scaled as for mobilenet_v2-b0353104.pth.' in line
  assert '--imagenet_top1=' in line
  # What the variables need in order to be the same network stays.
  row = sources.get_source('mobilenet_v2', 'torchvision')
  assert (header.contract, header.options) == (row.contract, row.options)


def test_torchvisions_own_file_whatever_its_name(tmp_path, monkeypatch):
  path = written(tmp_path / 'a.pth', 'torchvision', 'densenet121')
  row = sources.get_source('densenet121', 'torchvision')
  file = f'densenet121-{files.sha256(path)[:8]}.pth'
  own = dataclasses.replace(row, file=file)
  others = [s for s in sources.list_sources('densenet121') if s is not row]
  monkeypatch.setitem(table.SOURCES, 'densenet121', (*others, own))
  # Recognized too: timm's variables have the same names.
  header, said = converted('densenet121', path)
  assert header.imagenet_top1 == row.imagenet_top1
  assert header.imagenet_top1_source == row.imagenet_top1_source
  assert header.recipe == row.recipe
  assert header.license == 'BSD-3-Clause'
  assert said == []


def test_file_of_torchvision_or_timm_needs_its_source(tmp_path):
  path = written(tmp_path / 'pytorch_model.bin', 'timm', 'densenet121')
  with pytest.raises(errors.InputError) as caught:
    converted('densenet121', path)
  message = str(caught.value)
  assert f'SHA-256 begins with {files.sha256(path)[:8]}' in message
  assert (
    '--source=torchvision (densenet121-a639ec97.pth): expected a SHA-256 that '
    'begins with a639ec97'
  ) in message
  assert (
    '--source=timm (timm/densenet121.ra_in1k): expected densenet121.ra_in1k '
    'in its name or that of one of the 3 folders above'
  ) in message
  for source in ('torchvision', 'timm'):
    header, said = converted('densenet121', path, source)
    claims_nothing(header)
    assert len(said) == 1
    assert header.contract == sources.get_source('densenet121', source).contract


@pytest.mark.parametrize(
  ('file', 'known'),
  [
    ('densenet121.ra_in1k.safetensors', True),
    ('densenet121.tv_in1k.safetensors', False),
    ('models--timm--densenet121.ra_in1k/model.safetensors', True),
    ('models--timm--densenet121.ra_in1k/pytorch_model.bin', True),
    ('models--timm--densenet121.tv_in1k/model.safetensors', False),
    # The nearest name counts.
    ('densenet121.ra_in1k/densenet121.tv_in1k.safetensors', False),
    ('model.safetensors', False),
  ],
)
def test_timms_files_are_told_by_their_tags(tmp_path, file, known):
  path = written(tmp_path / file, 'timm', 'densenet121')
  header, said = converted('densenet121', path)
  row = sources.get_source('densenet121', 'timm')
  if known:
    assert (header.imagenet_top1, header.recipe) == (0.75574, row.recipe)
    assert said == []
  else:
    claims_nothing(header)
    assert 'not known to be densenet121.ra_in1k. Neither' in said[0]


def test_hubs_cache_is_searched_as_deep_as_it_is(tmp_path):
  row = sources.get_source('resnet50', 'timm')
  hub = tmp_path / 'models--timm--resnet50.a1_in1k' / 'snapshots'
  assert provenance.is_published(row, hub / '76781' / 'a.safetensors', '')
  deeper = hub / 'mine' / 'run' / 'a.safetensors'
  assert not provenance.is_published(row, deeper, '')
  other = tmp_path / 'wide_resnet50.a1_in1k.safetensors'
  assert not provenance.is_published(row, other, '')


@pytest.mark.parametrize('source', ['slim', 'keras'])
def test_word_that_the_claim_rests_on(tmp_path, source):
  file = {'slim': 'v1.ckpt', 'keras': 'a.h5'}[source]
  path = written(tmp_path / file, source, 'mobilenet_v1')
  row = sources.get_source('mobilenet_v1', source)
  header, (line,) = converted('mobilenet_v1', path)
  claims_nothing(header)
  assert f'is not known to be {row.file}. Nothing in it tells; if' in line
  header, said = converted('mobilenet_v1', path, published=True)
  assert header.imagenet_top1 == row.imagenet_top1
  assert header.recipe == row.recipe
  assert header.imagenet_top1_source == (
    f'{row.imagenet_top1_source}, taking the file for {row.file}, which '
    'nothing in it tells'
  )
  assert said == []


def test_top1_can_be_stated(tmp_path):
  path = written(tmp_path / 'a.pth', 'torchvision', 'mobilenet_v2')
  header, said = converted('mobilenet_v2', path, imagenet_top1=0.72154)
  assert header.imagenet_top1 == 0.72154
  assert header.imagenet_top1_source == 'stated when it was converted'
  assert header.recipe.label_smoothing is None
  assert 'Its recipe and license are recorded as unknown.' in said[0]
  assert 'top' not in said[0].partition('is not known')[2]
  for wrong in (72.154, 0.0):
    with pytest.raises(errors.InputError, match='a share between 0 and 1'):
      converted('mobilenet_v2', path, imagenet_top1=wrong)


def test_scale_of_1_is_that_of_a_port():
  one = np.ones(3, np.float32)
  variance = {'batch_stats/backbone/a/bn/var': one}
  shown = [
    provenance.infer_recipe({**variables, **variance}).bn_scale
    for variables in (
      {'params/backbone/a/bn/bias': one},
      {'params/backbone/a/bn/scale': one},
      {'params/backbone/a/bn/scale': one + one},
      # The other norm is no batch norm.
      {'params/backbone/a/bn/scale': one, 'params/backbone/b/scale': one + one},
    )
  ]
  assert shown == [False, False, True, False]


def test_scale_of_a_layer_norm_is_none_of_batch_norm():
  scale = np.full(3, 2, np.float32)
  variables = {'params/backbone/norm/scale': scale}
  assert provenance.infer_recipe(variables) == recipe.UNKNOWN


def test_file_of_keras_is_told_by_its_sha256(tmp_path):
  path = tmp_path / 'a.h5'
  path.write_bytes(b'weights')
  sha256 = hashlib.sha256(b'weights').hexdigest()
  row = sources.get_source('convnext_tiny', 'keras')
  assert provenance.is_published(row, path, sha256) is False
  with pytest.raises(errors.InputError, match='SHA-256 that begins with 8ae6e'):
    provenance.check_statement(row, path, sha256)
  line = provenance.explain_doubt(row, path, sha256, top1_is_stated=False)
  assert f'its SHA-256 begins with {sha256[:8]}.' in line
  own = dataclasses.replace(row, sha256=sha256)
  assert provenance.is_published(own, path, sha256) is True


def test_variables_that_do_not_tell_the_source(tmp_path):
  path = written(tmp_path / 'model.safetensors', 'timm', 'inception_v3')
  with pytest.raises(errors.InputError) as caught:
    converted('inception_v3', path)
  assert '--source=timm (timm/inception_v3.tv_in1k)' in str(caught.value)
  assert '--source=timm_gluon (timm/inception_v3.gluon' in str(caught.value)
  assert not (tmp_path / 'out.safetensors').exists()
  headers = [
    converted('inception_v3', path, name)[0] for name in ('timm', 'timm_gluon')
  ]
  # The name that its publisher gave it does.
  path = path.rename(tmp_path / 'inception_v3.gluon_in1k.safetensors')
  headers.append(converted('inception_v3', path)[0])
  gluon = pytest.approx(0.485 * 255)
  means = [header.contract.mean[0] for header in headers]
  assert means == [127.5, gluon, gluon]
  assert [h.imagenet_top1 for h in headers] == [None, None, 0.78806]


def test_file_of_keras_is_told_by_its_md5(tmp_path, monkeypatch):
  path = written(tmp_path / 'a.h5', 'keras', 'densenet121')
  row = sources.get_source('densenet121', 'keras')
  header, (line,) = converted('densenet121', path)
  claims_nothing(header)
  md5 = hashlib.md5(path.read_bytes()).hexdigest()
  assert f'Expected the MD5 {row.md5}, not {md5}.' in line
  with pytest.raises(errors.InputError, match='with --published, and it is no'):
    converted('densenet121', path, published=True)
  own = dataclasses.replace(row, md5=md5)
  others = [s for s in sources.list_sources('densenet121') if s is not row]
  monkeypatch.setitem(table.SOURCES, 'densenet121', (own, *others))
  header, said = converted('densenet121', path)
  assert (header.imagenet_top1, header.recipe) == (0.75, row.recipe)
  assert header.imagenet_top1_source == row.imagenet_top1_source
  assert said == []


def test_hashes_are_those_that_keras_checks():
  """Each is in the code of the function that builds the application."""
  import keras

  hashed = set()
  for network, rows in table.SOURCES.items():
    for row in rows:
      if row.md5 or row.sha256:
        module = inspect.getmodule(
          getattr(keras.applications, row.application.name)
        )
        assert (row.md5 or row.sha256) in inspect.getsource(module)
        hashed.add(network)
  unknown = {n for n in table.SOURCES if sources.keras_application(n)} - hashed
  assert unknown == {'mobilenet_v1', 'mobilenet_v2', 'mobilenet_v2_140'}
