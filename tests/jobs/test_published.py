import numpy as np
from PIL import Image

from tf_transfer import main
from tf_transfer.configs import published as config_file
from tf_transfer.jobs import published
from tf_transfer.study.paper import claims, numbers
from tf_transfer.study.report import answer


def test_all_figures_are_drawn_and_all_claims_are_printed(
  tmp_path, capsys, caplog
):
  """Both kinds of each figure, nothing else, and without a warning."""
  config = config_file.get_config()
  assert main._JOBS[config.job] == published.__name__
  published.run(config, tmp_path / 'work')
  printed = capsys.readouterr()
  assert not printed.err
  assert not caplog.text
  for claim in claims.check_all():
    assert claim.text in printed.out
  for setting in numbers.SETTINGS:
    reply = answer.from_records(numbers.records(), setting, beside_paper=False)
    assert f'\n\n{reply.text}\n' in printed.out
  names = sorted(p.name for p in (tmp_path / 'work').iterdir())
  assert names == sorted(
    f'figure_{n}.{suffix}'
    for n in (1, 2, 3, 5, 6, 7, 8)
    for suffix in ('pdf', 'png')
  )
  for path in (tmp_path / 'work').glob('*.pdf'):
    assert path.read_bytes().startswith(b'%PDF')
  for path in (tmp_path / 'work').glob('*.png'):
    assert (np.asarray(Image.open(path).convert('L')) < 128).sum() > 5000


def test_table_of_claims():
  claim = claims.Claim(
    'r with ImageNet', '0.99', '0.986', '0.98 to 0.99', 'yes'
  )
  header, rule, row = published.render([claim]).splitlines()
  assert header.split() == [
    *('claim', 'paper', 'found', 'within', 'reading', 'error', 'comes', 'out'),
  ]
  assert set(rule) == {'-', ' '}
  # Every column is aligned left.
  assert row.index('0.99') == header.index('paper')
  assert row.index('yes') == header.index('comes out')
