"""Every field has a meaning, and the documentation has every field."""

import pytest

from tests.configs import field_table
from tf_transfer import config_fields

GROUPS = [group for _, group in field_table.GROUPS]


def test_the_documentation_has_the_table():
  """python -m tests.configs.field_table writes it."""
  assert field_table.render() in field_table.PAGE.read_text()


@pytest.mark.parametrize('group', GROUPS, ids=lambda group: group.__name__)
def test_every_field_has_its_comment(group):
  meanings = field_table.meanings(group)
  for name, kind in config_fields.fields(group).items():
    if not config_fields.is_group(kind):
      assert meanings[name], name


def test_every_group_of_every_job_is_in_the_table():
  def groups(group):
    yield group
    for kind in config_fields.fields(group).values():
      if config_fields.is_group(kind):
        yield from groups(kind)

  for job in config_fields._DECLARATIONS:
    for group in groups(config_fields.of_job(job)):
      declared = set(config_fields.fields(group))
      # The cache alone is part of the table of features.
      assert any(declared <= set(config_fields.fields(g)) for g in GROUPS)
