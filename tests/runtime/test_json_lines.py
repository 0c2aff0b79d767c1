"""Files of JSON lines, as others may have damaged them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_transfer import errors
from tf_transfer.runtime import json_lines


def read(path, data):
  path.write_bytes(data)
  return list(json_lines.read(path))


def test_no_file_has_no_lines(tmp_path):
  assert list(json_lines.read(tmp_path / 'none')) == []
  assert json_lines.read_regular(tmp_path / 'none') is None


def test_what_is_no_file(tmp_path):
  with pytest.raises(errors.InputError, match='expected a file, found a dir'):
    json_lines.read_regular(tmp_path)


VALUES = st.recursive(
  st.none() | st.booleans() | st.integers() | st.text(max_size=5),
  lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3)
  ),
  max_leaves=4,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=4)


@settings(max_examples=100, deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=5), st.booleans(), st.randoms())
def test_every_whole_object_is_read_wherever_a_file_ends(
  tmp_path_factory, objects, ascii_only, random
):
  """The oracle counts how many texts of objects lie ahead of the cut."""
  texts = [json.dumps(o, ensure_ascii=ascii_only).encode() for o in objects]
  data, ends = b'', []
  for text in texts:
    data += text
    ends.append(len(data))
    data += random.choice([b'\n', b'\r\n', b'', b'\n\n', b' '])
  position = random.randrange(len(data) + 1)
  lines = read(tmp_path_factory.getbasetemp() / 'a.jsonl', data[:position])
  whole = sum(end <= position for end in ends)
  assert [o for line in lines for _, o in line.objects] == objects[:whole]
  assert not any(line.problem for line in lines)
  rest = data[max([0, *(e for e in ends if e <= position)]) : position]
  assert any(line.is_cut for line in lines) == bool(rest.strip())


@pytest.mark.parametrize(
  ('line', 'problem'),
  [
    (b'\xff\xfe{\x00}\x00 ', 'not UTF-8'),
    (b'[' * 100_000, 'nested too deeply'),
    (b'{"a": 1, "b": 2, "a": 1}', "the field 'a' is there twice"),
    (b'{"a": ' + b'9' * 5000 + b'}', 'Exceeds the limit'),
    (b'"text"', 'expected an object, found str'),
    (b'{"a": 1} and more', 'not JSON'),
    (b'{nonsense without end', 'not JSON'),
    (b'\x00\x01', 'not JSON'),
  ],
)
@pytest.mark.parametrize('end', [b'', b'\n{"b": 2}\n'])
def test_problems(tmp_path, line, problem, end):
  first, *others = read(tmp_path / 'a.jsonl', line + end)
  assert problem in first.problem
  assert first.text == line
  assert not first.is_cut
  assert [o for other in others for _, o in other.objects] == (
    [{'b': 2}] if end else []
  )
