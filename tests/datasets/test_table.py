"""What the table says of the datasets."""

import pytest

from tf_transfer import datasets

# The paper's table 1 and BYOL's table 10 once more, written down apart from
# the code: classes, train + val, test, metric, train, val.
PAPER = """
food101     101  75,750 25,250 top1            68,175  7,575
cifar10      10  50,000 10,000 top1            45,000  5,000
cifar100    100  50,000 10,000 top1            44,933  5,067
birdsnap    500  47,386  2,443 top1            42,405  4,981
sun397      397  19,850 19,850 top1            15,880  3,970
cars        196   8,144  8,041 top1             6,494  1,650
aircraft    100   6,667  3,333 mean_per_class   3,334  3,333
voc2007      20   5,011  4,952 map11            2,501  2,510
dtd          47   3,760  1,880 top1             1,880  1,880
pets         37   3,680  3,669 mean_per_class   2,940    740
caltech101  102   3,060  6,084 mean_per_class   2,550    510
flowers     102   2,040  6,149 mean_per_class   1,020  1,020
"""


def test_names_and_rows():
  assert datasets.names() == (
    *('digits', 'fashion_mnist', 'food101', 'cifar10', 'cifar100'),
    *('birdsnap', 'sun397', 'cars', 'aircraft', 'voc2007', 'dtd', 'pets'),
    *('caltech101', 'flowers', 'imagenet', 'folder:PATH'),
  )
  for row in datasets.TABLE:
    assert row.metric in ('top1', 'mean_per_class', 'map11')
    assert row.citation
    assert row.license
    if row.official:
      assert row.homepage
      assert row.download_size
      assert row.pitfalls


def test_counts_are_the_papers():
  for line in PAPER.strip().replace(',', '').splitlines():
    name, classes, both, test, metric, train, val = line.split()
    row = datasets.row(name)
    assert row.classes == int(classes)
    assert row.metric == metric
    assert row.counts == {
      'train': int(train),
      'val': int(val),
      'test': int(test),
    }
    assert int(train) + int(val) == int(both)
    rule = row.holdout
    if rule is not None and rule.per_class is not None:
      assert rule.per_class * row.classes == int(val)
    if rule is not None and rule.trainval_per_class is not None:
      assert rule.trainval_per_class * row.classes == int(both)
  imagenet = datasets.row('imagenet')
  assert imagenet.counts['train'] + imagenet.counts['val'] == 1_281_167
  assert imagenet.counts['test'] == 50_000
  assert imagenet.holdout.per_class * imagenet.classes == imagenet.counts['val']


@pytest.mark.parametrize(
  ('name', 'title'),
  [
    ('aircraft', 'FGVC Aircraft'),
    ('cifar10', 'CIFAR-10'),
    ('imagenet', 'ImageNet'),
    ('folder:/data/my photos', 'my photos'),
    ('no_such_dataset', 'no_such_dataset'),
  ],
)
def test_title(name, title):
  assert datasets.title(name) == title


def test_titles_differ():
  titles = [row.title for row in datasets.TABLE]
  assert len(set(titles)) == len(titles)
