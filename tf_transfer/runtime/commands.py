"""Writes commands that a user pastes into a shell."""

import shlex

from tf_transfer import errors


def job(*arguments: str) -> str:
  """Returns the command of a job, whatever characters its paths have.

  Args:
    arguments: flags, such as '--config=predict:my weights.safetensors,PATH'.
  """
  return f'python -m tf_transfer.main {join(*arguments)}'


def join(*arguments: str) -> str:
  """Joins arguments; those that a shell would change are quoted."""
  return errors.printable(shlex.join(arguments))
