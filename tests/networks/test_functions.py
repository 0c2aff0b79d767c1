"""Tests of importing and calling functions that make networks."""

import sys

import numpy as np
import pytest

from tf_transfer import errors
from tf_transfer.networks import functions

CODE = """
import numpy as np
from tf_transfer import networks
from tf_transfer.contract import Contract

CONTRACT = Contract(8, mean=(0,) * 3, std=(1,) * 3)

def mine():
  return networks.CustomNetwork(
    contract=CONTRACT, features=lambda x: x.mean(axis=(1, 2)))

def needs(argument):
  pass

def fails():
  raise ValueError('no weights\\nhere')

def other():
  return CONTRACT

def resnet50():
  return mine()

def wrong():
  return networks.CustomNetwork(contract=CONTRACT)

number = 3

def ends():
  raise SystemExit(2)

def ends_later():
  return networks.CustomNetwork(
    contract=CONTRACT, features=lambda x: ends())

def no_size():
  return Contract(0, mean=(0,) * 3, std=(1,) * 3)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
  """A package in the current directory, and a file beside it."""
  (tmp_path / 'ownpackage').mkdir()
  (tmp_path / 'ownpackage' / '__init__.py').touch()
  (tmp_path / 'ownpackage' / 'nets.py').write_text(CODE)
  (tmp_path / 'ownpackage' / 'broken.py').write_text('import nosuchmodule\n')
  (tmp_path / 'ownpackage' / 'typo.py').write_text('x = = 1\n')
  (tmp_path / 'ownpackage' / 'program.py').write_text('raise SystemExit(2)\n')
  (tmp_path / 'own file.py').write_text(CODE)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', list(sys.path))
  yield tmp_path
  for name in [name for name in sys.modules if name.startswith('own')]:
    del sys.modules[name]


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('a:b', True),
    ('a.b_1.c:d2', True),
    ('../a b.py:mine', True),
    ('a:', False),
    ('a:b:c', False),
    ('1a:b', False),
    ('a/b:c', False),
    ('resnet50', False),
  ],
)
def test_form_of_a_function(name, expected):
  assert functions.is_function(name) is expected


@pytest.mark.parametrize(
  'spec', ['ownpackage.nets:mine', 'own file.py:mine', '{}/own file.py:mine']
)
def test_function_is_called(package, spec):
  spec = spec.format(package)
  net = functions.load(spec)
  assert (net.name, net.feature_dim, net.header.source) == ('mine', 3, spec)
  assert net.features(np.ones((1, 8, 8, 3))).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('ownpackage.none:mine', 'there is no module ownpackage.none in the curr'),
    ('nosuchpackage:mine', 'there is no module nosuchpackage in the current'),
    ('ownpackage.broken:mine', 'there is no module nosuchmodule'),
    ('none.py:mine', 'none.py:mine: there is no such file'),
    ('ownpackage.typo:mine', 'cannot be imported: SyntaxError'),
    ('ownpackage.nets:mime', 'did you mean mine'),
    ('ownpackage.nets:number', 'unknown function of ownpackage.nets'),
    ('ownpackage.nets:needs', "positional argument: 'argument'$"),
    ('ownpackage.nets:number', 'known are mine, needs, fails, other, resnet50'),
    ('ownpackage.nets:ends', r'SystemExit: 2 \(.*nets.py, line 30\)'),
    ('ownpackage.nets:ends_later', 'images .*: SystemExit: 2'),
    ('ownpackage.program:mine', 'cannot be imported: SystemExit: 2'),
    ('ownpackage.nets:no_size', r'0 is no size in pixels \(.*nets.py, line 37'),
    ('ownpackage.nets:fails', r'ValueError: no weights \(.*nets.py, line 16\)'),
    ('ownpackage.nets:other', 'to return a tf_transfer.networks.CustomNetwork'),
    ('ownpackage.nets:resnet50', 'resnet50 is a network of the table'),
    ('ownpackage.nets:wrong', 'wrong: expected either module and variables'),
  ],
)
def test_what_is_wrong_is_said_in_one_line(package, spec, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    functions.load(spec)
  assert '\n' not in str(caught.value)
  assert spec.partition(':')[0].split('.')[0] in str(caught.value)
