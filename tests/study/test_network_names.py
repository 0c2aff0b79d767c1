"""Names of networks in a config: what each means, and what is refused."""

import pytest

from tf_transfer import errors
from tf_transfer.study import network_names
from tf_transfer.study.network_names import Kind


@pytest.mark.parametrize(
  ('name', 'kind'),
  [
    ('resnet50', Kind.TABLE),
    ('resnet5', Kind.TABLE),
    ('', Kind.TABLE),
    ('mine.safetensors', Kind.FILE),
    ('folder/mine', Kind.FILE),
    ('./timm/resnet50.a1_in1k', Kind.FILE),
    ('timm/resnet50.a1_in1k.safetensors', Kind.FILE),
    ('timm/resnet50.a1_in1k', Kind.HUB),
    ('hf-hub:timm/resnet50.a1_in1k', Kind.HUB),
    ('mypackage.module:function', Kind.FUNCTION),
    ('path/to/my file.py:function', Kind.FUNCTION),
    ('features:DIR', Kind.FEATURES),
    ('features:/a/b.safetensors', Kind.FEATURES),
  ],
)
def test_form_tells_what_is_meant(name, kind):
  assert network_names.identify(name) is kind


@pytest.mark.parametrize(
  'name', ['resnet50', 'timm/resnet50.a1_in1k', 'any/path', 'a.safetensors']
)
def test_spelling_is_right(name):
  network_names.check(name)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('resnet5', 'did you mean resnet50'),
    ('resnet50.a1_in1k', 'write timm/resnet50.a1_in1k for the weights'),
    ('resnet50.a1', 'did you mean resnet50'),
    ('mine:', 'module:function or path/to/file.py:function'),
    ('mine.py', 'module:function or path/to/file.py:function'),
    ('mine:make()', 'module:function or path/to/file.py:function'),
    ('timm/', 'expected timm/NAME'),
    ('timm/a/b', 'expected timm/NAME'),
    ('timm/../b', 'expected timm/NAME'),
    ('timm/resnet50 a1', 'expected timm/NAME'),
    ('hf-hub:timm/resnet50.a1_in1k', r'\. Write timm/resnet50\.a1_in1k$'),
  ],
)
def test_spelling_is_wrong(name, message):
  with pytest.raises(errors.InputError, match=message):
    network_names.check(name)


def test_path_may_be_meant_as_a_repository(tmp_path):
  hint = network_names.explain_missing_file('facebook/dinov2-small')
  assert 'only those named timm/NAME' in hint
  assert not network_names.explain_missing_file('weights/mine.safetensors')
  hint = network_names.explain_missing_file('w/a.safetensors,w/b.safetensors')
  assert "\"('w/a.safetensors', 'w/b.safetensors')\"" in hint
  (tmp_path / 'train.npy').touch()
  hint = network_names.explain_missing_file(str(tmp_path))
  assert hint.endswith(f'meant: features:{tmp_path}')
  hint = network_names.explain_missing_file('package/module:function')
  assert 'package.module:function' in hint
  assert not network_names.explain_missing_file('a/b/c')
  assert not network_names.explain_missing_file('../mine')
