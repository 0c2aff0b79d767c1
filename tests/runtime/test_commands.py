"""Tests the commands that users paste into a shell."""

import shlex
import subprocess

import pytest

from tf_transfer.runtime import commands


def test_a_plain_command_has_no_quotes():
  assert commands.job('--config=predict:a/b.safetensors,PATH') == (
    'python -m tf_transfer.main --config=predict:a/b.safetensors,PATH'
  )


@pytest.mark.parametrize(
  'path', ["my photos/it's", '~/two', '$HOME', 'a;b', '(1)', '"x"', 'ü*']
)
def test_a_shell_hands_on_what_was_meant(path):
  arguments = [f'--config=choose:{path}', f'--workdir={path}']
  line = commands.join(*arguments)
  assert shlex.split(line) == arguments
  printed = subprocess.run(
    ['sh', '-c', f"printf '%s\\n' {line}"], capture_output=True, text=True
  )
  assert printed.stdout.splitlines() == arguments


def test_what_a_terminal_would_obey_is_escaped():
  assert '\x1b' not in commands.join('--workdir=\x1b[31m')
