"""Pickles: data are loaded, and nothing else runs."""

import collections
import io
import pickle

import pytest

from tf_transfer.runtime import pickles


def load(data, admitted=(), **options):
  return pickles.Unpickler(io.BytesIO(data), dict(admitted), **options).load()


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers(protocol):
  value = {'a': [1, 2.5, None, True], 'b': ('text', {'c': -(2**70)})}
  assert load(pickle.dumps(value, protocol)) == value


ran = []


class Hostile:
  """A pickle of it calls `ran.append` when it is loaded."""

  def __reduce__(self):
    return ran.append, ('ran',)


class HostileBuiltin:
  """A pickle of it calls `eval` when it is loaded."""

  def __reduce__(self):
    return eval, ('1 / 0',)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_other_names_are_refused_before_anything_runs(protocol):
  for hostile in (Hostile(), HostileBuiltin()):
    data = pickle.dumps({'x': hostile}, protocol)
    with pytest.raises(pickles.Refused, match=r'builtin(s|__)\.(getattr|eval)'):
      load(data)
  assert ran == []


def test_admitted_names_are_replaced():
  data = pickle.dumps(collections.OrderedDict(a=1))
  with pytest.raises(pickles.Refused, match=r'collections\.OrderedDict'):
    load(data)
  assert load(data, {('collections', 'OrderedDict'): dict}) == {'a': 1}


def test_strings_of_python_2_as_bytes():
  # BINSTRING, as Python 2 writes a str.
  data = b'\x80\x02T\x02\x00\x00\x00\xffa.'
  assert load(data, encoding='bytes') == b'\xffa'
  with pytest.raises(pickles.ERRORS):
    load(data)


def test_damage_raises_one_of_the_errors():
  data = pickle.dumps({'a': list(range(300)), 'b': 'text' * 50}, 2)
  for end in range(len(data)):
    with pytest.raises(pickles.ERRORS):
      load(data[:end])
