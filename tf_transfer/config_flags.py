"""Defines the flag that names a config, and parses the command line.

`--config=VALUE` is read as `config_files` says; `--config.FIELD=VALUE` sets a
field of it. Whatever is wrong with a flag ends in one line.
"""

import operator
import re
import sys

import ml_collections
from absl import flags
from ml_collections import config_flags

from tf_transfer import config_fields, config_files, errors

# How absl begins its error about a value.
_WRONG_VALUE = re.compile(r'flag --(\w+)(?:\.([\w.]+))?=(.*?): ', re.DOTALL)
# Flags that may be there only once: a second one would replace the first.
_ONCE = ('config', 'workdir')
_MAX_SHOWN = 1000  # characters of an error


class _Parser(flags.ArgumentParser):
  """Loads the config of a flag and checks the names of fields set with it.

  Attributes:
    config: that was loaded last; None before.
  """

  def __init__(self, flag: str) -> None:
    self.flag = flag
    self.config: ml_collections.ConfigDict | None = None

  def parse(self, argument: str) -> ml_collections.ConfigDict:
    """Returns the config that `argument` names.

    Raises:
      InputError: the config, or a field that the command line sets, is unknown.
    """
    try:
      config = config_files.load(argument)
    except errors.InputError as error:
      text = _shorten(f'--{self.flag}: {error}')
      raise errors.InputError(text) from error
    self.config = config
    for field in _overrides(self.flag):
      if '[' in field:
        raise errors.InputError(
          f'--{self.flag}.{field}: one value of a tuple cannot be set; set all '
          'of them'
        )
      if not config_files.has_field(config, field):
        raise config_files.unknown_field(config, field)
    return config

  def flag_type(self) -> str:
    """Returns the name of the type that --help shows."""
    return 'config'


def _overrides(flag: str) -> list[str]:
  """Returns the fields that the command line sets as --FLAG.FIELD."""
  argv = flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False)
  matches = [re.match(rf'--?(?:no)?{flag}\.([^=]+)', word) for word in argv]
  return [match[1] for match in matches if match]


def define(
  name: str, help_string: str
) -> flags.FlagHolder[ml_collections.ConfigDict]:
  """Defines a flag whose value is a config; --NAME.FIELD=VALUE sets a field.

  Parsing raises InputError where the config or one of its fields is not known.
  """
  holder = config_flags.DEFINE_config_file(name, None, help_string)
  flags.FLAGS[name].parser = _Parser(name)
  return holder


def parse(argv: list[str]) -> list[str]:
  """Parses the flags of the command line.

  Args:
    argv: the command line.

  Returns:
    What is no flag: the program, and arguments.

  Raises:
    InputError: a flag, config or field is unknown, or its value is wrong.
  """
  try:
    _check_once(flags.FLAGS.read_flags_from_files(argv, force_gnu=False))
    return flags.FLAGS(argv)
  except flags.IllegalFlagValueError as error:
    raise _wrong_value(error) from error
  except (MemoryError, RecursionError) as error:
    raise errors.InputError('a flag has a value nested too deeply') from error
  except (
    flags.Error,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    SyntaxError,
  ) as error:
    raise errors.InputError(_one_line(error)) from error


def _check_once(argv: list[str]) -> None:
  """Raises an InputError if a flag that may be there once is there twice."""
  for flag in _ONCE:
    values = [word for word in argv if re.match(rf'--?{flag}(=|$)', word)]
    if len(values) > 1:
      raise errors.InputError(
        f'--{flag} is there {len(values)} times: {" ".join(values)}; expected '
        'it once'
      )


def _wrong_value(error: flags.IllegalFlagValueError) -> errors.InputError:
  """Explains absl's error about the value of a flag."""
  match = _WRONG_VALUE.match(str(error))
  if match is None:
    return errors.InputError(_one_line(error))
  flag, field, value = match.groups()
  if field is None:
    if value == 'None':
      return errors.InputError(
        f'--{flag} is missing: name a config, such as --{flag}=quickstart'
      )
    return errors.InputError(_one_line(error))
  parser = flags.FLAGS[flag].parser
  kind = None
  if isinstance(parser, _Parser) and parser.config is not None:
    kind = config_fields.find(parser.config.get('job'), field)
  if kind is None:
    return errors.InputError(_one_line(error))
  wrong = config_fields.wrong(f'{flag}.{field}', kind.expected, value)
  hint = errors.explain_list(value[:_MAX_SHOWN])
  if hint and isinstance(operator.attrgetter(field)(parser.config), tuple):
    return errors.InputError(_shorten(f'{wrong}: {hint}'))
  return wrong


def _one_line(error: Exception) -> str:
  """Returns an error's message on one line, not too long."""
  text = ' '.join(str(error).split()).removeprefix('ERROR:: ')
  return _shorten(text or type(error).__name__)


def _shorten(text: str) -> str:
  """Returns a text without its middle if it is too long."""
  if len(text) <= _MAX_SHOWN:
    return text
  return f'{text[: _MAX_SHOWN // 2]} ... {text[-_MAX_SHOWN // 2 :]}'
