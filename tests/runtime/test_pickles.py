"""Pickles: data are loaded, and nothing else runs."""

import collections
import datetime
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


class Marked:
  """Marks `ran` whenever a method of it is called."""

  def __init__(self):
    ran.append('init')

  def __setstate__(self, state):
    ran.append('state')


class Listed(list):
  """A class of a script that its pickle fills with items."""


class Keyed(dict):
  """A class of a script that its pickle fills with entries."""


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_classes_become_stand_ins_and_nothing_runs(protocol):
  marked = Marked()
  marked.text = 'a'
  ran.clear()
  value = {
    'a': marked,
    'b': Listed([1, 2]),
    'c': Keyed(d=3),
    'e': datetime.date(2020, 1, 1),
    'f': {1, 2},
    'type': Marked,
  }
  data = pickle.dumps(value, protocol)
  loaded = load(data, stand_ins=True)
  assert ran == []
  assert loaded.keys() == value.keys()
  assert all(isinstance(loaded[key], pickles.StandIn) for key in 'abce')
  assert not isinstance(loaded['a'], Marked)
  with pytest.raises(pickles.Refused):
    load(data)


@pytest.mark.parametrize(
  'name',
  [
    *('posix.system', 'os.popen', 'subprocess.Popen', 'builtins.eval'),
    *('__builtin__.exec', 'builtins.getattr', 'torch.load', 'pty.spawn'),
    *('importlib.import_module', 'runpy.run_path', 'shutil.rmtree'),
    *('numpy.load', 'numpy.lib.npyio.load', 'operator.attrgetter', 'a.b.c'),
    *('torch.storage._load_from_bytes', 'ctypes.CDLL', 'builtins.__import__'),
  ],
)
@pytest.mark.parametrize('stand_ins', [False, True])
def test_functions_have_no_stand_ins(name, stand_ins):
  module, _, function = name.rpartition('.')
  with pytest.raises(pickles.Refused, match=name):
    load(f'c{module}\n{function}\n.'.encode(), stand_ins=stand_ins)


def test_thousands_of_classes_are_refused():
  names = ''.join(f'ca\nB{n}\n0' for n in range(5000))
  with pytest.raises(pickles.Refused, match='1,000 classes more'):
    load(f'{names}N.'.encode(), stand_ins=True)


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
