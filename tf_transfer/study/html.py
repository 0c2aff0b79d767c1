"""Makes the pages that the program writes: templates that escape all values."""

import functools
import importlib.resources
from typing import Any

import jinja2
import markupsafe

from tf_transfer import errors


@functools.cache
def environment(package: str) -> jinja2.Environment:
  """Returns Jinja's environment, which escapes every value.

  Args:
    package: that has the templates.
  """

  def read(name: str) -> str:
    """Reads a template."""
    data = importlib.resources.files(package) / name
    return data.read_text(encoding='utf-8')

  return jinja2.Environment(
    loader=jinja2.FunctionLoader(read),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_printable,
  )


def _printable(value: Any) -> Any:
  """Escapes controls and marks of direction in a text from outside."""
  # Markup is what the page itself is made of.
  is_text = isinstance(value, str) and not isinstance(value, markupsafe.Markup)
  return errors.printable(value) if is_text else value
