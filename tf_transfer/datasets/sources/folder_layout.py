"""Tells the folders of splits and classes in a directory."""

import dataclasses
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from tf_transfer.datasets.dataset import SPLIT_NAMES
from tf_transfer.datasets.sources.folder_tree import FolderTree
from tf_transfer.datasets.sources.image_files import (
  printable,
  printable_listing,
)
from tf_transfer.errors import InputError

# The name for all images of a directory without folders of splits.
UNDIVIDED = 'undivided'

# Words for splits in names of folders -> split. 'eval' is the one of val and
# test that no other folder is named after.
_EVAL = 'eval'
_SPLIT_WORDS = {
  'train': 'train',
  'training': 'train',
  'trn': 'train',
  'val': 'val',
  'valid': 'val',
  'validation': 'val',
  'validate': 'val',
  'dev': 'val',
  'development': 'val',
  'test': 'test',
  'testing': 'test',
  'tst': 'test',
  'eval': _EVAL,
  'evaluation': _EVAL,
}
_SPLIT_NAME = re.compile(
  f'({"|".join(_SPLIT_WORDS)})(set|split|data|dataset|images?|folder)?'
)
_SEPARATORS = re.compile('[-_ ]+')
# A word for a split inside a longer name, such as seg_train or train2017.
_SPLIT_WORD = re.compile(f'(?<![a-z])({"|".join(_SPLIT_WORDS)})(?![a-z])')

LAYOUTS = (
  'expected a folder of images for each class, or folders train, test and '
  'perhaps val, each with a folder for each class'
)


@dataclasses.dataclass(frozen=True)
class Layout:
  """The folders of a directory of images.

  Attributes:
    splits: train, test and perhaps val -> path; or only UNDIVIDED -> directory.
    classes: split -> name of each class, in NFC -> path. All splits have the
      same classes in the same order.
    notes: sentences on names.
  """

  splits: Mapping[str, str]
  classes: Mapping[str, Mapping[str, str]]
  notes: tuple[str, ...]


def find_layout(tree: FolderTree, root: str) -> Layout:
  """Finds the folders of splits and classes; opens no image as a rule.

  Args:
    tree: of the directory.
    root: its path.

  Raises:
    InputError: the directory cannot be read, or its folders are not as they
      must be. The message says what to do.
  """
  _check_directory(root)
  splits, notes = _find_splits(tree, root)
  classes = {name: _find_classes(tree, path) for name, path in splits.items()}
  check_same_classes(splits, classes)
  for path in splits.values():
    _check_nesting(tree, path)
  names = list(next(iter(classes.values())))
  return Layout(splits, classes, (*notes, *_case_notes(names)))


def split_named(name: str) -> str | None:
  """Returns the split that a folder is named after, 'eval', or None.

  `Train`, `training-set` and `TEST_IMAGES` are names of splits; `trainer` and
  `latest` are none.
  """
  match = _SPLIT_NAME.fullmatch(_SEPARATORS.sub('', name.casefold()))
  return _SPLIT_WORDS[match[1]] if match else None


def _check_directory(root: str) -> None:
  """Raises an InputError if a path is no directory to look for images in."""
  if not os.path.lexists(root):
    raise InputError(f'{printable(root)}: no such directory: {LAYOUTS}')
  if not os.path.isdir(root):
    raise InputError(
      f'{printable(root)}: not a directory: {LAYOUTS}; unpack an archive first'
    )
  if os.path.realpath(root) == os.path.realpath(os.sep):
    raise InputError(
      f'{printable(root)}: everything on this machine is no dataset: {LAYOUTS}'
    )


def _find_splits(
  tree: FolderTree, root: str
) -> tuple[dict[str, str], list[str]]:
  """Finds the folders of splits in a directory.

  Returns:
    As `Layout.splits`, and notes.

  Raises:
    InputError: the folders are ambiguous.
  """
  names = tree.subfolders(root)
  split_like = [name for name in names if split_named(name)]
  others = [name for name in names if not split_named(name)]
  if not split_like:
    _check_prefixes(root, names)
    return {UNDIVIDED: root}, []
  folders, notes = _assign_splits(root, split_like)
  if others and _are_classes(tree, folders):
    return {UNDIVIDED: root}, []
  if others:
    raise InputError(
      f'{printable(root)}: holds folders named like splits '
      f'({printable_listing(split_like)}) beside others '
      f'({printable_listing(others)}): {LAYOUTS}; move the others away, or '
      'rename a class that is called like a split'
    )
  for split_name in ('train', 'test'):
    if split_name not in folders:
      raise InputError(
        f'{printable(root)}: no folder {split_name} beside '
        f'{printable_listing(split_like)}: {LAYOUTS}; without val, validation '
        f'is held out of train{_advise(folders)}{in_brackets(tree.notes())}'
      )
  # Train first, then val and test: files are read in this order.
  return {name: folders[name] for name in SPLIT_NAMES if name in folders}, notes


def _advise(folders: Mapping[str, str]) -> str:
  """Says what to do where test is missing; nothing if train is, too.

  Args:
    folders: split -> its folder.
  """
  if 'train' not in folders:
    return ''
  if 'val' in folders:
    name = os.path.basename(folders['val'])
    return f'; to test on {printable(name)}, rename it to test'
  train = printable(folders['train'])
  return f'; to have test held out as well, give folder:{train}'


def _check_prefixes(root: str, names: Iterable[str]) -> None:
  """Checks that no two names differ only in the split that they name.

  Raises:
    InputError: there are such names, as seg_train and seg_test.
  """
  by_rest = {}
  for name in names:
    text = name.casefold()
    for match in _SPLIT_WORD.finditer(text):
      rest = text[: match.start()], text[match.end() :]
      by_rest.setdefault(rest, {})[_SPLIT_WORDS[match[1]]] = name
  for named in by_rest.values():
    if len(named) > 1:
      raise InputError(
        f'{printable(root)}: {printable_listing(named.values())} look like '
        f'splits: rename them to {" and ".join(named)}; {LAYOUTS}'
      )


def _assign_splits(
  root: str, names: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
  """Assigns folders that are named like splits to the splits.

  Returns:
    Split -> path, and a note if a name may mean two splits.

  Raises:
    InputError: two folders are of one split.
  """
  named = {split_named(name) for name in names}
  of_eval = 'val' if 'test' in named else 'test'
  folders, notes = {}, []
  for name in names:
    split_name = split_named(name)
    if split_name == _EVAL:
      split_name = of_eval
      notes.append(f'{printable(name)} is read as {of_eval}')
    if split_name in folders:
      first = os.path.basename(folders[split_name])
      raise InputError(
        f'{printable(root)}: {printable(first)} and {printable(name)} both '
        f'name the split {split_name}: remove one of them'
      )
    folders[split_name] = os.path.join(root, name)
  real = {}
  for split_name, path in folders.items():
    other = real.setdefault(os.path.realpath(path), split_name)
    if other != split_name:
      raise InputError(
        f'{printable(root)}: {other} and {split_name} are the same folder: '
        'give each split images of its own; without val, validation is held '
        'out of train'
      )
  return folders, notes


def _are_classes(tree: FolderTree, folders: Mapping[str, str]) -> bool:
  """Returns whether folders that are named like splits are classes.

  A class may be called train, beside bus and car. There is no folder test then,
  and the folder holds images.

  Args:
    tree: of the directory.
    folders: split -> the folder with such a name.
  """
  if {'train', 'test'} <= set(folders):
    return False
  return all(tree.image_names(folder) for folder in folders.values())


def _find_classes(tree: FolderTree, folder: str) -> dict[str, str]:
  """Finds the class folders in a folder.

  Returns:
    The name of each class, in NFC -> path; sorted by name. macOS writes names
    in NFD, where a letter and its accent are two characters.

  Raises:
    InputError: there are fewer than two, or two have the same name.
  """
  names = tree.subfolders(folder)
  if not names:
    images = tree.image_names(folder)
    hint = in_brackets(tree.notes())
    if images:
      raise InputError(
        f'{printable(folder)}: images ({printable_listing(images)}) that are '
        f'in no class folder: {LAYOUTS}{hint}'
      )
    raise InputError(f'{printable(folder)}: no class folders: {LAYOUTS}{hint}')
  if len(names) == 1:
    inner = printable(os.path.join(folder, names[0]))
    raise InputError(
      f'{printable(folder)}: only one class, {printable(names[0])}: there '
      f'must be two or more; if the classes are inside it, give folder:{inner}'
      f'{in_brackets(tree.notes())}'
    )
  classes = {}
  for name in names:
    # The same in every locale; bytes that are no UTF-8 stay as they are.
    text = os.fsencode(name).decode('utf-8', 'surrogateescape')
    key = unicodedata.normalize('NFC', text)
    if key in classes:
      raise InputError(
        f'{printable(folder)}: two folders are named {printable(key)}, in two '
        'forms of Unicode (NFC and NFD): put their images into one of them'
      )
    classes[key] = os.path.join(folder, name)
  return dict(sorted(classes.items()))


def check_same_classes(
  folders: Mapping[str, str], classes: Mapping[str, Iterable[str]]
) -> None:
  """Checks that all splits have the same classes.

  Args:
    folders: split -> its folder.
    classes: split -> its classes.

  Raises:
    InputError: the classes of two splits differ.
  """
  first = next(iter(classes))
  for name in classes:
    extra = sorted(set(classes[name]) - set(classes[first]))
    missing = sorted(set(classes[first]) - set(classes[name]))
    for different, has, lacks in (
      (extra, name, first),
      (missing, first, name),
    ):
      if different:
        raise InputError(
          f'{printable(folders[lacks])}: no folder for {len(different)} of the '
          f'classes in {printable(folders[has])} '
          f'({printable_listing(different)}): every split must have the same '
          f'classes; add or remove these{_case_hint(different, classes[lacks])}'
        )


def _case_hint(different: Iterable[str], classes: Iterable[str]) -> str:
  """Returns a hint if names differ only in case from those of classes."""
  known = {name.casefold() for name in classes}
  similar = [name for name in different if name.casefold() in known]
  if not similar:
    return ''
  return f' (only the case differs of {printable_listing(similar)})'


def _case_notes(names: Iterable[str]) -> list[str]:
  """Returns a note if the names of two classes differ only in case."""
  by_key = {}
  for name in names:
    by_key.setdefault(name.casefold(), []).append(name)
  return [
    f'the classes {printable_listing(same)} differ only in case'
    for same in by_key.values()
    if len(same) > 1
  ]


def _check_nesting(tree: FolderTree, folder: str) -> None:
  """Checks that the folders inside class folders are not the classes.

  Where every class folder holds folders of the same names, they are rather
  splits, or parts, and their folders the classes. If all hold images of their
  own beside these folders, they are classes all the same.

  Raises:
    InputError: two or more names are in all class folders.
  """
  names = tree.subfolders(folder)
  inner = [os.path.join(folder, name) for name in names]
  common = set(tree.subfolders(inner[0]))
  for path in inner[1:]:
    if len(common) < 2:
      return
    common &= set(tree.subfolders(path))
  if len(common) < 2 or all(tree.image_names(path) for path in inner):
    return
  common = sorted(common)
  if all(split_named(name) for name in common):
    what, example = 'splits', (common[0], names[0])
  else:
    what, example = 'classes', ('train', common[0])
  raise InputError(
    f'{printable(folder)}: its folders ({printable_listing(names)}) all hold '
    f'folders of the same names ({printable_listing(common)}): if these are '
    f'the {what}, arrange them as {printable(os.path.join(*example))} and so '
    'on, in folders train, test and perhaps val; if not, put the images of '
    'each class into one folder'
  )


def in_brackets(notes: Sequence[str]) -> str:
  """Returns notes for the end of an error; nothing if there are none."""
  return f' ({"; ".join(notes)})' if notes else ''
