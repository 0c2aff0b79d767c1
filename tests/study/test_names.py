import subprocess
import sys

import pytest

from tf_transfer.study import names
from tf_transfer.study.paper import numbers


@pytest.mark.parametrize(
  ('name', 'title'),
  [
    ('resnet50', 'ResNet-50'),
    ('resnet50 (a1_in1k)', 'ResNet-50 (a1_in1k)'),
    ('unheard_of (a1_in1k)', 'unheard_of (a1_in1k)'),
    ('aircraft', 'FGVC Aircraft'),
    ('folder:/data/my.photos', 'my.photos'),
    ('unheard_of', 'unheard_of'),
  ],
)
def test_display_name(name, title):
  assert names.display_name(name) == title


def test_every_network_and_dataset_of_the_paper_has_a_title_of_its_own():
  every = [*numbers.imagenet_top1(), *numbers.previous_best()]
  titles = [names.display_name(name) for name in every]
  assert not set(titles) & set(every)
  assert len(set(titles)) == len(every) == 16 + 12


@pytest.mark.parametrize(
  ('setting', 'title'),
  [
    ('random_init', 'Random initialization'),
    ('nearest_neighbors', 'Nearest neighbors'),
  ],
)
def test_setting_text(setting, title):
  assert names.setting_text(setting) == title


def test_printing_a_name_imports_no_plotting_library():
  code = (
    'import sys\nfrom tf_transfer.study import names\n'
    "print(names.display_name('dtd'), 'matplotlib' in sys.modules)"
  )
  result = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  assert result.stdout == 'DTD False\n'
