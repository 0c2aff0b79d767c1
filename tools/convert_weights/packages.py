"""Imports packages that only some formats need."""

import importlib
from types import ModuleType

from tf_transfer import errors

# What to install, where that is not the name of the module.
_INSTALLED_BY = {'tensorflow': 'tensorflow-cpu', 'keras': 'tensorflow-cpu'}


def import_module(module: str, purpose: str) -> ModuleType:
  """Imports a module.

  Args:
    module: its name.
    purpose: what needs it, as 'reading a Keras file'.

  Raises:
    InputError: it is not installed.
  """
  try:
    return importlib.import_module(module)
  except ModuleNotFoundError as error:
    package = _INSTALLED_BY.get(module, module)
    raise errors.InputError(
      f'{purpose} needs {module}: pip install {package}'
    ) from error


def import_tensorflow(purpose: str) -> ModuleType:
  """Imports TensorFlow and keeps it off the accelerator; as `import_module`."""
  tf = import_module('tensorflow', purpose)
  # JAX needs the accelerator's memory; TensorFlow would take all of it.
  tf.config.set_visible_devices([], 'GPU')
  return tf
