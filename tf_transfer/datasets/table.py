"""Lists the datasets, one row each, with what is known before reading them.

Counts and metrics of the paper's twelve datasets are those of its table 1. The
paper does not say how much of train is held out for validation. These sizes are
those of BYOL's table 10 (arXiv:2006.07733).
"""

import dataclasses
import pathlib
from collections.abc import Mapping

# The metrics, of which each dataset has one.
METRICS = ('top1', 'mean_per_class', 'map11')


@dataclasses.dataclass(frozen=True)
class HoldoutRule:
  """How validation is drawn if the authors of a dataset define none.

  Attributes:
    per_class: validation images of each class; None: the draw ignores classes.
    by: 'name' or 'content': what the draw of an image depends on. It is the
      name if a source encodes images anew, the content if one has no names.
    trainval_per_class: images of each class in train and val together, if test
      is drawn too and is the rest; None: test is official.
  """

  per_class: int | None
  by: str
  trainval_per_class: int | None = None


@dataclasses.dataclass(frozen=True)
class Tfds:
  """A dataset in TensorFlow Datasets.

  Attributes:
    name: with its config, as sun397/standard-part1-120k.
    major: first number of the version. Splits and features may change with it.
    splits: official split -> the splits of TFDS that it is made of.
    name_feature: the feature with an image's official name. A version without
      it can be used if the draw goes by content.
    manual_files: files that users have to get before TFDS can prepare it.
    note: how the images differ from the official ones, for records.
  """

  name: str
  major: int
  splits: Mapping[str, tuple[str, ...]]
  name_feature: str
  manual_files: str = ''
  note: str = ''


@dataclasses.dataclass(frozen=True)
class Row:
  """A dataset, before it is opened.

  Attributes:
    name: as users write it; 'folder:' is followed by a path.
    title: the name in figures and tables.
    classes: number of classes; None: the data decide.
    metric: 'top1', 'mean_per_class' or 'map11' (several labels per image).
    citation: of the dataset; empty for a user's own data.
    license: terms of use of the data.
    counts: images of train, val and test; None: the fractions of the random
      split, or the data, decide.
    holdout: how validation is drawn; None: validation is official.
    may_be_incomplete: whether missing images are left out, with a note, rather
      than an error.
    tfds: the dataset in TensorFlow Datasets.
    homepage: the official one.
    download_size: of the archives.
    pitfalls: known problems of getting the dataset.
  """

  name: str
  title: str
  classes: int | None
  metric: str
  citation: str
  license: str
  counts: Mapping[str, int] | None = None
  holdout: HoldoutRule | None = None
  may_be_incomplete: bool = False
  tfds: Tfds | None = None
  homepage: str = ''
  download_size: str = ''
  pitfalls: str = ''

  @property
  def official(self) -> bool:
    """Whether its authors define splits: the paper's datasets and ImageNet."""
    return self.tfds is not None


def _counts(train: int, val: int, test: int) -> Mapping[str, int]:
  """Names the counts of images of the three splits."""
  return {'train': train, 'val': val, 'test': test}


_TRAIN_TEST = {'train': ('train',), 'test': ('test',)}
_OFFICIAL = {**_TRAIN_TEST, 'val': ('validation',)}
_RESEARCH = 'for research; the images belong to their photographers'

TABLE = (
  Row(
    name='digits',
    title='Digits',
    classes=10,
    metric='top1',
    citation=(
      'E. Alpaydin and C. Kaynak. Optical Recognition of Handwritten Digits. '
      'UCI Machine Learning Repository, 1998.'
    ),
    license='CC BY 4.0; a copy is part of scikit-learn',
  ),
  Row(
    name='fashion_mnist',
    title='Fashion-MNIST',
    classes=10,
    metric='top1',
    citation=(
      'H. Xiao, K. Rasul and R. Vollgraf. Fashion-MNIST: a Novel Image '
      'Dataset for Benchmarking Machine Learning Algorithms. '
      'arXiv:1708.07747, 2017.'
    ),
    license='MIT, copyright Zalando SE',
  ),
  Row(
    name='food101',
    title='Food-101',
    classes=101,
    metric='top1',
    citation=(
      'L. Bossard, M. Guillaumin and L. Van Gool. Food-101: Mining '
      'Discriminative Components with Random Forests. ECCV, 2014.'
    ),
    license='the images are from Foodspotting; use beyond research needs its '
    "owners' consent",
    counts=_counts(68_175, 7_575, 25_250),
    holdout=HoldoutRule(per_class=75, by='content'),
    tfds=Tfds(
      name='food101',
      major=2,
      splits={'train': ('train',), 'test': ('validation',)},
      name_feature='id',
    ),
    homepage='https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/',
    download_size='5 GB',
    pitfalls='TFDS calls test validation; train is not cleaned, on purpose',
  ),
  Row(
    name='cifar10',
    title='CIFAR-10',
    classes=10,
    metric='top1',
    citation=(
      'A. Krizhevsky. Learning Multiple Layers of Features from Tiny Images. '
      'Technical report, University of Toronto, 2009.'
    ),
    license='none stated',
    counts=_counts(45_000, 5_000, 10_000),
    holdout=HoldoutRule(per_class=500, by='content'),
    tfds=Tfds('cifar10', 3, _TRAIN_TEST, 'id'),
    homepage='https://www.cs.toronto.edu/~kriz/cifar.html',
    download_size='163 MB',
    pitfalls='the server is slow at times; take the version for Python',
  ),
  Row(
    name='cifar100',
    title='CIFAR-100',
    classes=100,
    metric='top1',
    citation=(
      'A. Krizhevsky. Learning Multiple Layers of Features from Tiny Images. '
      'Technical report, University of Toronto, 2009.'
    ),
    license='none stated',
    counts=_counts(44_933, 5_067, 10_000),
    holdout=HoldoutRule(per_class=None, by='content'),
    tfds=Tfds('cifar100', 3, _TRAIN_TEST, 'id'),
    homepage='https://www.cs.toronto.edu/~kriz/cifar.html',
    download_size='161 MB',
    pitfalls='the server is slow at times; the 100 fine labels count, not the '
    '20 coarse ones',
  ),
  Row(
    name='birdsnap',
    title='Birdsnap',
    classes=500,
    metric='top1',
    citation=(
      'T. Berg, J. Liu, S. W. Lee, M. L. Alexander, D. W. Jacobs and P. N. '
      'Belhumeur. Birdsnap: Large-scale Fine-grained Visual Categorization of '
      'Birds. CVPR, 2014.'
    ),
    license=_RESEARCH,
    counts=_counts(42_405, 4_981, 2_443),
    holdout=HoldoutRule(per_class=None, by='name'),
    may_be_incomplete=True,
    tfds=Tfds(
      name='birdsnap',
      major=1,
      splits=_TRAIN_TEST,
      name_feature='file_name',
      manual_files='the folder birdsnap with the official layout',
    ),
    homepage='http://thomasberg.org/',
    download_size='8 MB of addresses; the images are fetched from Flickr one '
    'by one',
    pitfalls='many photos are gone: of 2,443 test images about 1,850 are left, '
    'of 47,386 others 39,860 to 46,687. Those on disk are evaluated, and every '
    'record says how many they are',
  ),
  Row(
    name='sun397',
    title='SUN397',
    classes=397,
    metric='top1',
    citation=(
      'J. Xiao, J. Hays, K. A. Ehinger, A. Oliva and A. Torralba. SUN '
      'Database: Large-scale Scene Recognition from Abbey to Zoo. CVPR, 2010.'
    ),
    license=_RESEARCH,
    counts=_counts(15_880, 3_970, 19_850),
    holdout=HoldoutRule(per_class=10, by='name'),
    tfds=Tfds(
      name='sun397/standard-part1-120k',
      major=4,
      splits=_TRAIN_TEST,
      name_feature='file_name',
      note='images as TFDS encodes them anew: at most 120,000 pixels, JPEG '
      'quality 72',
    ),
    homepage='https://vision.princeton.edu/projects/2010/SUN/',
    download_size='37 GB',
    pitfalls="the site is dead; TFDS's default config is a random split, not "
    'partition 1; unpack Partitions.zip to the folder Partitions beside a/ '
    'to z/',
  ),
  Row(
    name='cars',
    title='Stanford Cars',
    classes=196,
    metric='top1',
    citation=(
      'J. Krause, M. Stark, J. Deng and L. Fei-Fei. 3D Object Representations '
      'for Fine-Grained Categorization. 3dRR-13, 2013.'
    ),
    license='for research, as ImageNet',
    counts=_counts(6_494, 1_650, 8_041),
    holdout=HoldoutRule(per_class=None, by='content'),
    tfds=Tfds('cars196', 2, _TRAIN_TEST, 'id'),
    homepage='https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
    download_size='1.9 GB',
    pitfalls='the site is dead, for TFDS too; cars_test_annos.mat of the '
    'devkit has no labels: cars_test_annos_withlabels.mat is a separate file',
  ),
  Row(
    name='aircraft',
    title='FGVC Aircraft',
    classes=100,
    metric='mean_per_class',
    citation=(
      'S. Maji, J. Kannala, E. Rahtu, M. Blaschko and A. Vedaldi. '
      'Fine-Grained Visual Classification of Aircraft. arXiv:1306.5151, 2013.'
    ),
    license='for non-commercial research',
    counts=_counts(3_334, 3_333, 3_333),
    tfds=Tfds(
      name='fgvc_aircraft',
      major=1,
      splits=_OFFICIAL,
      name_feature='file_name',
      manual_files='the folder fgvc-aircraft-2013b with the official layout',
    ),
    homepage='https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/',
    download_size='2.8 GB',
    pitfalls='each image has a banner of 20 px at the bottom with the '
    "photographer's name: --config.data.cut_banner=True cuts it",
  ),
  Row(
    name='voc2007',
    title='PASCAL VOC 2007',
    classes=20,
    metric='map11',
    citation=(
      'M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn and A. '
      'Zisserman. The PASCAL Visual Object Classes (VOC) Challenge. IJCV, '
      '2010.'
    ),
    license="Flickr's terms of use",
    counts=_counts(2_501, 2_510, 4_952),
    tfds=Tfds('voc/2007', 5, _OFFICIAL, 'image/filename'),
    homepage='http://host.robots.ox.ac.uk/pascal/VOC/voc2007/',
    download_size='900 MB',
    pitfalls='the site is often down, TFDS uses a mirror; trainval and test '
    'are two archives that unpack to one folder',
  ),
  Row(
    name='dtd',
    title='DTD',
    classes=47,
    metric='top1',
    citation=(
      'M. Cimpoi, S. Maji, I. Kokkinos, S. Mohamed and A. Vedaldi. Describing '
      'Textures in the Wild. CVPR, 2014.'
    ),
    license='for research',
    counts=_counts(1_880, 1_880, 1_880),
    tfds=Tfds('dtd', 3, _OFFICIAL, 'file_name'),
    homepage='https://www.robots.ox.ac.uk/~vgg/data/dtd/',
    download_size='600 MB',
    pitfalls='of the ten folds the first is the one that counts',
  ),
  Row(
    name='pets',
    title='Oxford-IIIT Pets',
    classes=37,
    metric='mean_per_class',
    citation=(
      'O. M. Parkhi, A. Vedaldi, A. Zisserman and C. V. Jawahar. Cats and '
      'Dogs. CVPR, 2012.'
    ),
    license='CC BY-SA 4.0',
    counts=_counts(2_940, 740, 3_669),
    holdout=HoldoutRule(per_class=20, by='name'),
    tfds=Tfds(
      name='oxford_iiit_pet',
      major=4,
      splits=_TRAIN_TEST,
      name_feature='file_name',
      note='12 odd images as TFDS encodes them anew',
    ),
    homepage='https://www.robots.ox.ac.uk/~vgg/data/pets/',
    download_size='800 MB',
    pitfalls='a dozen files are GIF, PNG or BMP with the extension of JPEG: '
    'they are read by their content; the paper prints 3,369 for 3,669',
  ),
  Row(
    name='caltech101',
    title='Caltech-101',
    classes=102,
    metric='mean_per_class',
    citation=(
      'L. Fei-Fei, R. Fergus and P. Perona. Learning Generative Visual Models '
      'from Few Training Examples. CVPR Workshop, 2004.'
    ),
    license='CC BY 4.0',
    counts=_counts(2_550, 510, 6_084),
    holdout=HoldoutRule(per_class=5, by='name', trainval_per_class=30),
    tfds=Tfds(
      name='caltech101',
      major=3,
      splits={'whole': ('train', 'test')},
      name_feature='image/file_name',
    ),
    homepage='https://data.caltech.edu/records/mzrjq-6wc02',
    download_size='140 MB',
    pitfalls="TFDS's own train and test follow the order of the file system: "
    'they are joined and drawn again; BACKGROUND_Google counts as a '
    'class',
  ),
  Row(
    name='flowers',
    title='102 Flowers',
    classes=102,
    metric='mean_per_class',
    citation=(
      'M.-E. Nilsback and A. Zisserman. Automated Flower Classification over '
      'a Large Number of Classes. ICVGIP, 2008.'
    ),
    license='none stated',
    counts=_counts(1_020, 1_020, 6_149),
    tfds=Tfds('oxford_flowers102', 2, _OFFICIAL, 'file_name'),
    homepage='https://www.robots.ox.ac.uk/~vgg/data/flowers/102/',
    download_size='350 MB',
    pitfalls='the large part, tstid, is the test: 6,149 images, not 1,020',
  ),
  Row(
    name='imagenet',
    title='ImageNet',
    classes=1000,
    metric='top1',
    citation=(
      'O. Russakovsky et al. ImageNet Large Scale Visual Recognition '
      'Challenge. IJCV, 2015.'
    ),
    license='for non-commercial research, after registering; never '
    'redistribute it',
    counts=_counts(1_231_167, 50_000, 50_000),
    holdout=HoldoutRule(per_class=50, by='name'),
    tfds=Tfds(
      name='imagenet2012',
      major=5,
      splits={'train': ('train',), 'test': ('validation',)},
      name_feature='file_name',
      manual_files='ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar',
      note='23 odd images as TFDS encodes them anew',
    ),
    homepage='https://image-net.org/download-images',
    download_size='145 GB',
    pitfalls='test is what the challenge calls validation; its own test has no '
    'labels; val/ needs a folder for each WNID, or the development kit beside '
    'it',
  ),
)

FOLDER = Row(
  name='folder:',
  title='Folder',
  classes=None,
  metric='top1',
  citation='',
  license='as its owner says',
)


# Labels without images, for features that were computed elsewhere.
LABELS = Row(
  name='labels:',
  title='Labels',
  classes=None,
  metric='top1',
  citation='',
  license='as its owner says',
)


def row(name: str) -> Row | None:
  """Returns the row of a dataset; None if there is no such name."""
  return next((row for row in TABLE if row.name == name), None)


def title(name: str) -> str:
  """Returns the title of a dataset for people.

  Args:
    name: of the table, or 'folder:PATH', whose title is the last part of the
      path. An unknown name is its own title.
  """
  for prefix in (FOLDER.name, LABELS.name):
    if name.startswith(prefix):
      return pathlib.PurePath(name.removeprefix(prefix)).name or name
  named_row = row(name)
  return name if named_row is None else named_row.title
