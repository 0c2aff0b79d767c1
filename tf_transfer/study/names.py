"""Names networks, datasets and settings as people write them."""

from tf_transfer import datasets, errors, networks
from tf_transfer.transfer import settings


def display_name(name: str) -> str:
  """Returns the title of a network or dataset; of a folder its last part.

  What a terminal would obey, and marks of direction, are escaped.
  """
  title = networks.title(name)
  return errors.printable(datasets.title(name) if title == name else title)


def setting_text(setting: str) -> str:
  """Returns the title of a setting."""
  return settings.title(setting)
