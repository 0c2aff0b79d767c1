"""Errors that name what was probably meant."""

import pytest

from tf_transfer import errors


def test_unknown_name_gives_the_nearest():
  error = errors.unknown_name(
    'network', 'efficientnet_lit0', ['efficientnet_lite0', 'resnet50']
  )
  assert "unknown network 'efficientnet_lit0'" in str(error)
  assert 'did you mean efficientnet_lite0?' in str(error)
  assert 'resnet50' in str(error)


def test_unknown_name_without_a_near_one():
  error = errors.unknown_name('dataset', 'xyzzy', ['digits'])
  assert 'did you mean' not in str(error)
  assert 'known are digits' in str(error)


@pytest.mark.parametrize(
  'text', ['a,b', '(a, b)', '[a,b]', "('a',b)", '("a", "b']
)
def test_names_in_one_text_are_told_how_several_are_written(text):
  error = errors.unknown_name('network', text, ['a', 'b'])
  assert str(error) == (
    f"unknown network {text!r}: several are written \"('a', 'b')\", quotes "
    'included; known are a, b'
  )


def test_other_kinds_of_names_are_not_listed():
  assert 'several' not in str(errors.unknown_name('config', 'a,b', ['a', 'b']))


@pytest.mark.parametrize('text', ['', 'a', '(a,)', "'a'"])
def test_one_name_is_no_list(text):
  assert errors.explain_list(text) == ''


def test_printable_escapes_what_a_terminal_obeys():
  text = 'a\x1b[31mb\x07\u202ec\ud800\n\tKäfer 猫'
  assert errors.printable(text) == (
    'a\\x1b[31mb\\x07\\u202ec\\ud800\n\tKäfer 猫'
  )
