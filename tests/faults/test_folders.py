"""Folders that hold more, or less, than a folder of images for each class."""

import os
import pathlib
import shutil
import socket
import unicodedata
from collections.abc import Callable

import pytest
from PIL import Image

from tests.faults import inputs, programs

pytestmark = pytest.mark.slow

Spoil = Callable[[pathlib.Path], None]

_PLAN = '--config.only_plan=True'


def _plan_counts(output: str) -> int:
  """Returns how many images the plan's line about the dataset counts."""
  line = next(line for line in output.splitlines() if ' train, ' in line)
  words = line.replace(',', '').split()
  return sum(
    int(words[words.index(split) - 1]) for split in ('train', 'val', 'test')
  )


def _thumbnails(name: str, depth: str = 'red') -> Spoil:
  """Adds a thumbnail of each image of a class in a folder of a system."""

  def spoil(root: pathlib.Path) -> None:
    for path in sorted((root / 'red').glob('*.png')):
      folder = root / depth / name / path.name
      folder.mkdir(parents=True)
      with Image.open(path) as image:
        image.resize((12, 12)).save(folder / 'SYNOPHOTO_THUMB_M.jpg')

  return spoil


def _add(name: str, data: bytes) -> Spoil:
  """Adds a file."""

  def spoil(root: pathlib.Path) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data)

  return spoil


def _link(name: str, target: str) -> Spoil:
  """Adds a link."""
  return lambda root: (root / name).symlink_to(target)


def _apple_doubles(root: pathlib.Path) -> None:
  for path in list((root / 'red').glob('*.png')):
    (root / 'red' / f'._{path.name}').write_bytes(b'\0\5\x16\7' + bytes(100))


def _class_that_links_outside(root: pathlib.Path) -> None:
  inputs.write_folder(root.parent / 'elsewhere')
  (root / 'red' / 'more').symlink_to(root.parent / 'elsewhere' / 'blue')


# What is left out, in words; all images of the folder itself are counted.
_SAID: dict[str, tuple[Spoil, str]] = {
  'thumbnails_of_a_file_server': (_thumbnails('@eaDir'), '12.*@eaDir'),
  'thumbnails_one_level_up': (_thumbnails('@eaDir', '.'), '12.*@eaDir'),
  'bin': (_thumbnails('#recycle'), '12.*#recycle'),
  'bin_of_windows': (_thumbnails('$RECYCLE.BIN'), r'12.*\$RECYCLE\.BIN'),
  'lost_and_found': (_thumbnails('lost+found'), r'12.*lost\+found'),
  'thumbnails_hidden': (_thumbnails('.thumbnails'), r'12.*\.thumbnails'),
  'macosx': (_thumbnails('__MACOSX', '.'), '12.*__MACOSX'),
  'hidden_folder': (_thumbnails('.cache'), r'12.*\.cache'),
  'apple_doubles': (_apple_doubles, '12 hidden files'),
  'text_file': (_add('red/readme.txt', b'mine\n'), r'1 \.txt'),
  'no_extension': (_add('red/notes', b'mine\n'), '1 without'),
  'heic': (
    _add('red/a.heic', b'\0\0\0\x18ftypheic' + bytes(99)),
    r'1 \.heic.*HEIC',
  ),
  'video': (_add('blue/a.mp4', b'\0\0\0\x18ftypmp42' + bytes(99)), r'1 \.mp4'),
  'text_beside_the_classes': (_add('a.txt', b''), r'1 \.txt'),
  'link_to_the_root_of_the_disk': (_link('red/all', '/'), 'outside.*red/all'),
  'link_to_the_folder': (_link('red/again', '..'), 'read anyway.*red/again'),
  'link_to_another_class': (
    _link('red/also', '../blue'),
    'read anyway.*red/also',
  ),
  'link_to_nothing': (_link('red/gone', 'nowhere.png'), 'no file.*red/gone'),
  'link_outside': (_class_that_links_outside, 'outside.*red/more'),
}


@pytest.mark.parametrize('fault', _SAID)
def test_left_out_and_said(program, copy, fault):
  root = copy('photos', 'weights')
  spoil, message = _SAID[fault]
  spoil(root / 'photos')
  outcome = program.study(_PLAN, seconds=60)
  programs.judge_said(outcome, message)
  assert _plan_counts(outcome.output) == 24, outcome.output


@pytest.mark.parametrize(
  'suffix', ['.jfif', '.jpe', '.JPG', '', '.image', '.tmp', '.png']
)
def test_images_by_content(program, copy, suffix):
  root = copy('photos', 'weights')
  for number in range(5):
    with open(root / f'photos/red/saved_{number}{suffix}', 'wb') as file:
      Image.fromarray(inputs.pixels(0, 50 + number)).save(file, 'JPEG')
  outcome = program.study(_PLAN)
  programs.judge_said(outcome, '')
  assert _plan_counts(outcome.output) == 29, outcome.output


@pytest.mark.parametrize(
  ('train', 'test'),
  [
    ('Training', 'Testing'),
    ('train_set', 'test_set'),
    ('TRAIN', 'TEST'),
    ('training', 'eval'),
    ('training_set', 'test-set'),
  ],
)
def test_names_of_splits(program, copy, train, test):
  root = copy('weights')
  inputs.write_folder(root / 'photos' / train)
  (root / 'photos' / test).mkdir()
  for name in ('red', 'blue'):
    folder = root / 'photos' / test / name
    folder.mkdir()
    for number in range(4):
      Image.fromarray(inputs.pixels(name == 'red', 70 + number)).save(
        folder / f'{number}.png'
      )
  outcome = program.study(_PLAN)
  programs.judge_said(outcome, r'2 classes, 18 train, 6 val, 8 test')


def test_splits_of_unknown_names(program, copy):
  root = copy('weights')
  for name in ('first', 'second'):
    inputs.write_folder(root / 'photos' / name)
  programs.judge_refused(program.study(_PLAN), 'first.*second.*train')


def _decomposed(root: pathlib.Path) -> None:
  (root / 'red').rename(root / unicodedata.normalize('NFC', 'Käfer'))
  shutil.copytree(
    root / unicodedata.normalize('NFC', 'Käfer'),
    root / unicodedata.normalize('NFD', 'Käfer'),
  )


def _socket(root: pathlib.Path) -> None:
  # The path of a socket must be short.
  with socket.socket(socket.AF_UNIX) as listening:
    here = os.getcwd()
    os.chdir(root / 'red')
    listening.bind('a.png')
    os.chdir(here)


def _only(*names: str) -> Spoil:
  """Leaves nothing but empty folders of these names."""

  def spoil(root: pathlib.Path) -> None:
    shutil.rmtree(root)
    for name in ('', *names):
      (root / name).mkdir()

  return spoil


def _flat(root: pathlib.Path) -> None:
  for name in ('red', 'blue'):
    for path in (root / name).glob('*'):
      path.rename(root / f'{name}_{path.name}')
    (root / name).rmdir()


def _two_trains(root: pathlib.Path) -> None:
  for split in ('train', 'Training', 'test'):
    for name in ('red', 'blue'):
      shutil.copytree(root / name, root / split / name)
  shutil.rmtree(root / 'red')
  shutil.rmtree(root / 'blue')


def _other_classes(root: pathlib.Path) -> None:
  for split, names in (('train', ('red', 'blue')), ('test', ('red', 'green'))):
    for name, source in zip(names, ('red', 'blue'), strict=True):
      shutil.copytree(root / source, root / split / name)
  shutil.rmtree(root / 'red')
  shutil.rmtree(root / 'blue')


def _one_class(root: pathlib.Path) -> None:
  shutil.rmtree(root / 'blue')


def _empty_class(root: pathlib.Path) -> None:
  (root / 'green').mkdir()


def _class_of_texts(root: pathlib.Path) -> None:
  _add('green/a.txt', b'x')(root)


def _pipe(root: pathlib.Path) -> None:
  os.mkfifo(root / 'red' / 'pipe.png')


_REFUSED: dict[str, tuple[Spoil, str]] = {
  'missing': (shutil.rmtree, 'no such directory'),
  'empty': (_only(), 'no class'),
  'empty_classes': (_only('a', 'b'), 'no images'),
  'one_class': (_one_class, 'only one class'),
  'images_without_classes': (_flat, 'no class folder'),
  'empty_class': (_empty_class, 'green'),
  'class_of_texts': (_class_of_texts, r'green.*\.txt'),
  'two_train_folders': (_two_trains, 'Training.*train|train.*Training'),
  'other_classes_in_test': (_other_classes, 'green|blue'),
  'one_name_in_two_forms': (_decomposed, 'fer'),
}


@pytest.mark.parametrize('fault', _REFUSED)
def test_refused(program, copy, fault):
  root = copy('photos', 'weights')
  spoil, message = _REFUSED[fault]
  spoil(root / 'photos')
  programs.judge_refused(program.study(seconds=60), message)


@pytest.mark.parametrize('spoil', [_pipe, _socket])
def test_no_files(program, copy, spoil):
  root = copy('photos', 'weights')
  spoil(root / 'photos')
  outcome = program.study(_PLAN, seconds=60)
  assert outcome.code in (0, 1), outcome.output
  assert 'Traceback' not in outcome.output
  assert 'png' in outcome.output


def test_names_in_two_forms_of_unicode(program, copy):
  root = copy('weights')
  for first, (split, form) in enumerate((('train', 'NFC'), ('test', 'NFD'))):
    names = (unicodedata.normalize(form, 'Käfer'), 'plain')
    inputs.write_folder(root / 'photos' / split, names, first=100 * first)
  programs.judge_said(program.study(_PLAN), '2 classes, 18 train, 6 val')


@pytest.mark.parametrize(
  'name', ['photos/', './photos', 'x/../photos', 'photos/../photos/']
)
def test_one_folder_in_other_words(program, copy, name):
  root = copy('photos', 'weights', 'runs')
  (root / 'x').mkdir()
  outcome = program.study(dataset=f'folder:{name}')
  programs.judge_said(outcome, '1 found in the ledger, 0 to run')
  assert len(program.records()) == 1


@pytest.mark.parametrize(
  'name',
  [
    '$5_to_$10',
    '猫と花',
    'a<b>&"c"',
    r'50%_\alpha{x}^2',
    'مرحبا',
    '😀',
    'x' * 200,
    '=cmd()',
    b'caf\xe9',
  ],
)
def test_odd_names(program, copy, name):
  root = copy('photos', 'weights')
  name = os.fsdecode(name)
  (root / 'photos').rename(root / name)
  (root / name / 'red').rename(root / name / name)
  outcome = program.study(
    '--config.report=True', dataset=f'folder:{name}', seconds=120
  )
  programs.judge_said(outcome, 'accuracy_vs_imagenet')
  assert '\x1b' not in outcome.output
  assert 'Warning' not in outcome.output, outcome.output
  page = (root / 'runs' / 'report.html').read_text()
  assert '<b>&"c"' not in page


def test_names_that_control_the_terminal(program, copy):
  root = copy('photos', 'weights')
  (root / 'photos' / 'red').rename(root / 'photos' / 'r\x1b[2Jd')
  outcome = program.study()
  programs.judge_said(outcome, 'test')
  assert '\x1b' not in outcome.output
