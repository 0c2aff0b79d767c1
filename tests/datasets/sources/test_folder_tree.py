"""Images are told by content, each is read once, and the rest is counted."""

import io
import itertools
import os
import socket

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from tests.datasets.sources.test_folder import (
  animals,
  as_nobody,
  contents,
  hashes,
  open_at,
  png,
  write,
)
from tf_transfer import datasets
from tf_transfer.datasets.sources import folder_tree
from tf_transfer.errors import InputError

HEIC = b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(40)
NEF = b'II*\0\x08\0\0\0' + bytes(60)


def encode(kind, number=0):
  file = io.BytesIO()
  pixels = np.full((8, 8, 3), [number, 3, 7], np.uint8)
  Image.fromarray(pixels).save(file, kind)
  return file.getvalue()


def count(dataset):
  return sum(len(part) for part in dataset.splits.values())


@pytest.mark.parametrize('suffix', folder_tree.EXTENSIONS)
def test_every_extension_in_any_case(tmp_path, suffix):
  files = {
    path.replace('.png', suffix if number % 2 else suffix.upper()): number
    for path, number in animals(20).items()
  }
  dataset = open_at(write(tmp_path, files))
  assert count(dataset) == 40
  assert dataset.notes == ()
  assert dataset.splits['train'].read(0).shape == (3, 4, 3)


@pytest.mark.parametrize(
  ('kind', 'suffix'),
  [
    *itertools.product(
      ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'AVIF'),
      ('', '.bin', '.txt', '.1', '.jpg?w=3'),
    ),
    ('PPM', ''),
  ],
)
def test_images_are_told_by_content(tmp_path, kind, suffix):
  if kind == 'AVIF' and not features.check('avif'):
    pytest.skip('Pillow is built without AVIF')
  write(tmp_path, animals(20))
  (tmp_path / 'cat' / f'x{suffix}').write_bytes(encode(kind))
  dataset = open_at(tmp_path)
  assert count(dataset) == 41
  (note,) = dataset.notes
  assert note.startswith('1 file is an image by content, not by name: 1 ')


def test_what_is_left_out_is_counted_by_extension(tmp_path, monkeypatch):
  before = hashes(open_at(write(tmp_path, animals(20))))
  for i in range(3):
    (tmp_path / 'cat' / f'{i}.TXT').write_text('P1 5 cats')
  (tmp_path / 'dog' / 'x.txt').write_bytes(b'')
  (tmp_path / 'labels.csv').write_text('x')
  (tmp_path / 'cat' / 'a.heic').write_bytes(HEIC)
  (tmp_path / 'dog' / 'b.HEIC').write_bytes(HEIC)
  (tmp_path / 'dog' / 'c.NEF').write_bytes(NEF)
  (tmp_path / 'dog' / 'd.thm').write_bytes(encode('JPEG'))
  (tmp_path / 'dog' / 'README').write_text('x')
  (tmp_path / 'dog' / '.DS_Store').write_text('x')
  (tmp_path / 'dog' / '._000.png').write_text('x')
  os.mkfifo(tmp_path / 'dog' / 'pipe')
  os.symlink('gone', tmp_path / 'dog' / 'nowhere')
  with socket.socket(socket.AF_UNIX) as server:
    # The address of a socket may have 108 bytes.
    monkeypatch.chdir(tmp_path)
    server.bind('cat/socket')
    dataset = open_at(tmp_path)
  assert hashes(dataset) == before
  assert dataset.notes == (
    '1 link that leads to no file is left out: dog/nowhere',
    'left out: 4 .txt, 2 .heic (HEIC images, which cannot be read), 1 .csv, '
    '1 without extension, 1 .nef (camera raw images, which cannot be read), '
    '1 .thm (thumbnails of a camera), 2 hidden files, '
    '2 pipes, sockets and devices',
  )


@pytest.mark.parametrize('data', [b'', b'<html>', HEIC, png(1)[:30]])
def test_a_name_of_an_image_is_never_left_out(tmp_path, data):
  """What it holds is for the decoder to say, and for data.corrupt."""
  write(tmp_path, animals(20))
  (tmp_path / 'cat' / 'x.JPG').write_bytes(data)
  with pytest.raises(datasets.CorruptImage, match='x.JPG'):
    open_at(tmp_path)
  dataset = open_at(tmp_path, corrupt='skip')
  assert count(dataset) == 40
  (name,) = dataset.skipped
  assert name.endswith('cat/x.JPG')


@pytest.mark.parametrize(
  'name',
  [
    *('@eaDir', '@EADIR', '#recycle', '#Recycle', '.thumbnails', '.Trash-0'),
    *('$RECYCLE.BIN', '$Recycle.Bin', 'System Volume Information', '.git'),
    *('lost+found', 'LOST+FOUND', '__MACOSX', '.ipynb_checkpoints', '@Recycle'),
    *('RECYCLER', 'FOUND.000', 'found.003', '~snapshot'),
  ],
)
@pytest.mark.parametrize('split', ['', 'train/'])
def test_folders_of_systems_are_left_out(tmp_path, name, split):
  files = animals(20)
  if split:
    files = {f'train/{path}': n for path, n in files.items()}
    files |= {f'test/{path}': n + 9000 for path, n in animals(20).items()}
  before = hashes(open_at(write(tmp_path, files)))
  for i, parent in enumerate(('', split, f'{split}cat/', f'{split}cat/deep/')):
    where = tmp_path / parent / name
    write(where, {'a/b.png': 5000 + i, 'c.jpg': 6000 + i})
    (where / 'd').write_text('x')
  # '' and split are the same folder where there are no splits.
  files = 12 if split else 9
  dataset = open_at(tmp_path)
  assert hashes(dataset) == before
  assert dataset.notes == (f'{files} files in {name} left out',)


def test_many_hidden_folders_make_few_notes(tmp_path):
  write(tmp_path, animals(20))
  write(tmp_path, {f'.h{i:02}/x.png': i for i in range(30)})
  notes = open_at(tmp_path).notes
  assert len(notes) == 8
  assert notes[-1] == '23 files in 23 other hidden folders left out'


def test_a_folder_of_a_system_that_cannot_be_read(tmp_path):
  root = write(tmp_path / 'root', animals(20) | {'lost+found/x.png': 1})
  (root / 'lost+found').chmod(0)
  try:
    with as_nobody(root):
      notes = open_at(root).notes
  finally:
    (root / 'lost+found').chmod(0o700)
  assert notes == ('left out, and cannot be counted: lost+found',)


def test_a_file_that_cannot_be_looked_into(tmp_path):
  root = write(tmp_path / 'root', animals(20))
  (root / 'cat' / 'x').write_bytes(png(1))
  (root / 'cat' / 'x').chmod(0)
  with as_nobody(root):
    notes = open_at(root).notes
  assert notes == (
    'left out: 1 without extension (cannot be read: Permission denied)',
  )


def test_nothing_is_left(tmp_path):
  write(tmp_path, {'cat/@eaDir/x.png': 1, 'dog/.b.png': 2})
  (tmp_path / 'cat' / 'a.heic').write_bytes(HEIC)
  with pytest.raises(InputError) as raised:
    open_at(tmp_path)
  assert str(raised.value).startswith(
    f'{tmp_path}: no images in any of its 2 class folders: expected JPEG, '
  )
  assert str(raised.value).endswith(
    '(1 file in @eaDir left out; left out: 1 .heic (HEIC images, which cannot '
    'be read), 1 hidden file)'
  )


def test_images_in_folders_inside_classes_are_counted(tmp_path):
  files = {
    f'a/{f"deep/{i % 3}/" if i < 12 else ""}{i}.png': i for i in range(40)
  }
  files |= {f'b/in/{i}.png': 1000 + i for i in range(20)}
  files |= {f'c/{i}.png': 2000 + i for i in range(20)}
  dataset = open_at(write(tmp_path, files))
  assert count(dataset) == 80
  assert dataset.notes == (
    'a: 12 of its 40 images are in 3 folders inside it',
    'b: 20 of its 20 images are in 1 folder inside it',
  )


def test_many_classes_with_folders_inside_make_few_notes(tmp_path):
  names = [f'c{i:02}' for i in range(20)]
  write(
    tmp_path, {p.replace('/', '/in/'): n for p, n in animals(9, names).items()}
  )
  notes = open_at(tmp_path).notes
  assert len([note for note in notes if 'inside it' in note]) == 8
  assert 'so are 108 images in 12 folders inside 12 other classes' in notes


# Links.


@pytest.mark.parametrize('target', ['/', '..', '/etc', '/proc', 'images'])
@pytest.mark.parametrize('link', ['bird', 'cat/in'])
def test_links_out_of_the_root_are_not_followed(
  tmp_path, monkeypatch, target, link
):
  root = write(tmp_path / 'root', animals(20))
  write(tmp_path / 'images', animals(20))
  before = hashes(open_at(root))
  (root / link).symlink_to(tmp_path / target)
  scan, scanned = os.scandir, []

  def noted(path):
    scanned.append(os.path.realpath(path))
    return scan(path)

  monkeypatch.setattr(os, 'scandir', noted)
  dataset = open_at(root)
  assert set(scanned) == {str(root / name) for name in ('', 'cat', 'dog')}
  assert hashes(dataset) == before
  assert dataset.notes == (
    f'1 link to a folder outside of the directory is left out: {link}; '
    'copy what should be read, or link its files',
  )


@pytest.mark.parametrize('link', ['bird', 'cat/in', 'cat/in/deep'])
def test_links_to_a_parent_are_not_followed(tmp_path, link):
  root = write(tmp_path, animals(20) | {'logo.png': 1, 'cat/in/1.png': 2})
  before = hashes(open_at(root))
  (root / link).parent.mkdir(exist_ok=True)
  if link == 'cat/in':
    link = 'cat/up'
  (root / link).symlink_to(root)
  dataset = open_at(root)
  assert hashes(dataset) == before
  assert f'1 link to a folder that is read anyway is left out: {link}' in (
    dataset.notes
  )


def test_a_class_that_is_a_link_to_another(tmp_path):
  root = write(tmp_path, animals(20))
  before = contents(open_at(root))
  os.symlink('cat', root / 'another')
  os.symlink(root / 'dog', root / 'cat' / 'deep')
  dataset = open_at(root)
  assert contents(dataset) == before
  assert dataset.notes == (
    '2 links to folders that are read anyway are left out: another, cat/deep',
  )


def test_a_link_inside_the_root_is_followed(tmp_path):
  files = animals(20) | {f'.store/{i}/{i}.png': 7000 + i for i in range(20)}
  root = write(tmp_path, files)
  os.symlink('.store', root / 'cow')
  os.symlink('../.store', root / 'dog' / 'again')
  dataset = open_at(root)
  assert dataset.classes == ('cat', 'cow', 'dog')
  labels = np.concatenate([part.labels for part in dataset.splits.values()])
  assert np.bincount(labels).tolist() == [20, 20, 20]
  assert dataset.notes[:2] == (
    '1 link to a folder is followed: cow',
    '1 link to a folder that is read anyway is left out: dog/again',
  )


def test_a_link_that_leads_to_itself(tmp_path):
  root = write(tmp_path, animals(20))
  os.symlink('x', root / 'cat' / 'x')
  os.symlink('x.png', root / 'dog' / 'x.png')
  with pytest.raises(InputError, match=r'dog/x\.png: cannot be read \(Too man'):
    open_at(root)
  (root / 'dog' / 'x.png').unlink()
  assert open_at(root).notes == (
    '1 link that leads to no file is left out: cat/x',
  )


def test_only_links_out_of_the_root(tmp_path):
  root = tmp_path / 'root'
  root.mkdir()
  for name in ('cat', 'dog'):
    os.symlink('/', root / name)
  with pytest.raises(InputError, match='no class folders.*2 links to folders'):
    datasets.check(f'folder:{root}')


def test_a_dataset_of_links_to_files(tmp_path):
  store = write(tmp_path / 'store', animals(20))
  (store / 'dog' / 'x').write_bytes(png(999))
  root = tmp_path / 'root'
  for path in sorted(store.rglob('*')):
    if path.is_file():
      link = root / path.relative_to(store)
      link.parent.mkdir(parents=True, exist_ok=True)
      link.symlink_to(path)
  os.symlink(store / 'cat' / '000.png', root / 'cat' / 'again.png')
  dataset = open_at(root)
  assert hashes(dataset) == hashes(open_at(store))
  assert dataset.notes[-2:] == (
    '41 images are links to files',
    '1 link to an image that is read anyway is left out',
  )


def test_a_link_to_an_image_that_is_read_anyway(tmp_path):
  root = write(tmp_path, animals(20))
  before = hashes(open_at(root))
  os.symlink('../cat/000.png', root / 'dog' / 'x.png')
  os.symlink('000.png', root / 'cat' / 'x.png')
  dataset = open_at(root)
  assert hashes(dataset) == before
  assert dataset.notes == (
    '2 links to images that are read anyway are left out',
  )


NAMES = st.sampled_from(['a', 'b', '.h', '@eaDir', 'c.png', 'd', 'e.txt'])
TREES = st.dictionaries(
  st.lists(NAMES, min_size=1, max_size=4).map('/'.join),
  st.sampled_from(['png', 'text']),
  max_size=12,
)


@settings(
  max_examples=40,
  deadline=None,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tree=TREES)
def test_every_file_is_an_image_or_counted(tmp_path_factory, tree):
  """Against a walk by pathlib that asks the same of each path alone."""
  root = tmp_path_factory.mktemp('tree')
  top = root / 'top'
  for i, (path, kind) in enumerate(tree.items()):
    try:
      (top / path).parent.mkdir(parents=True, exist_ok=True)
      (top / path).write_bytes(png(i) if kind == 'png' else b'text')
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
      continue
  top.mkdir(exist_ok=True)
  hidden, images, others = 0, [], 0
  for path in top.rglob('*'):
    if path.is_file():
      parts = path.relative_to(top).parts
      if any(part.startswith('.') or part == '@eaDir' for part in parts[:-1]):
        hidden += 1
      elif parts[-1].startswith('.'):
        others += 1
      elif path.suffix == '.png' or path.read_bytes() != b'text':
        images.append(str(path))
      else:
        others += 1
  reader = folder_tree.FolderTree(str(root))
  (found,) = reader.find_images([str(top)], [str(root)])
  assert sorted(found) == sorted(images)
  numbers = {'in': 0, 'left': 0}
  for note in reader.notes():
    if ' in .h left out' in note or ' in @eaDir left out' in note:
      numbers['in'] += int(note.split()[0])
    elif note.startswith('left out: '):
      texts = note.removeprefix('left out: ').split(', ')
      numbers['left'] += sum(int(text.split()[0]) for text in texts)
  assert numbers == {'in': hidden, 'left': others}
