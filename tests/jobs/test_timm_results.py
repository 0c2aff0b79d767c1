import numpy as np
from PIL import Image

from tf_transfer import main
from tf_transfer.configs import timm_results as config_file
from tf_transfer.jobs import timm_results
from tf_transfer.study.analysis import shift_results
from tf_transfer.study.report import shift_answer


def test_answer_figure_page_and_table(tmp_path, capsys, caplog):
  """All four, nothing else, and without a warning."""
  config = config_file.get_config()
  assert main._JOBS[config.job] == timm_results.__name__
  workdir = tmp_path / 'work'
  timm_results.run(config, workdir)
  printed = capsys.readouterr()
  assert not printed.err
  assert not caplog.text
  assert shift_answer.text(shift_results.published()) in printed.out
  assert sorted(path.name for path in workdir.iterdir()) == [
    'accuracy_under_shift.pdf',
    'accuracy_under_shift.png',
    'timm_results.csv',
    'timm_results.html',
  ]
  for path in workdir.iterdir():
    assert path.name.partition('.')[0] in printed.out
    assert path.stat().st_size < 700_000
  image = Image.open(workdir / 'accuracy_under_shift.png').convert('L')
  assert (np.asarray(image) < 128).sum() > 20_000
  page = (workdir / 'timm_results.html').read_text()
  assert 'href="timm_results.csv"' in page
