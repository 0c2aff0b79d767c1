"""Tests the templates' environment: whatever comes from outside is escaped."""

import jinja2
import markupsafe
import pytest

from tf_transfer.study import html


def rendered(value):
  environment = html.environment('tf_transfer.study.choice')
  return environment.from_string('{{ value }}').render(value=value)


def test_values_are_escaped():
  assert rendered('<b>&') == '&lt;b&gt;&amp;'
  assert rendered(markupsafe.Markup('<b>')) == '<b>'


def test_controls_and_marks_of_direction_are_written_out():
  assert rendered('a\x1b[31mb\u202ec') == 'a\\x1b[31mb\\u202ec'


def test_a_name_that_is_missing_is_an_error():
  environment = html.environment('tf_transfer.study.choice')
  with pytest.raises(jinja2.UndefinedError):
    environment.from_string('{{ missing }}').render()


def test_templates_are_those_of_the_package():
  environment = html.environment('tf_transfer.study.choice')
  text = environment.get_template('style.css.jinja').render()
  assert 'prefers-color-scheme: dark' in text
