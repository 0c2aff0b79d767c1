"""The datasets, one row each: what is known before anything is read.

Counts and metrics of the paper's twelve are those of its table 1; how much of
train is held out for validation is as in BYOL's table 10 (arXiv:2006.07733),
since the paper does not say.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

# What is measured on each dataset.
METRICS = ('top1', 'mean_per_class', 'map11')


@dataclasses.dataclass(frozen=True)
class HeldOut:
  """How validation is drawn where its authors define none.

  Attributes:
    each: images of each class, or None where the draw ignores classes.
    by: 'name' or 'content', what the draw goes by. Names where one source
      encodes images anew; contents where one source has no names.
    test_from: images of each class that are train and val, where test is
      drawn too and is all the rest; None where test is official.
  """

  each: int | None
  by: str
  test_from: int | None = None


@dataclasses.dataclass(frozen=True)
class Tfds:
  """Where a dataset is in TensorFlow Datasets.

  Attributes:
    name: with its config, as sun397/standard-part1-120k.
    major: the version's first number; splits and features may change with it.
    parts: our part -> the splits of TFDS that it is made of.
    name_feature: the feature that holds an image's official name; a version
      without it will do where the draw goes by content.
    manual: what a person has to put in its place before it can prepare it.
    note: how the images differ from the official ones, for records.
  """

  name: str
  major: int
  parts: Mapping[str, tuple[str, ...]]
  name_feature: str
  manual: str = ''
  note: str = ''


@dataclasses.dataclass(frozen=True)
class Row:
  """What is known of a dataset before it is opened.

  Attributes:
    name: as users write it; a folder's path follows it.
    title: the name for people, in figures and tables.
    classes: how many; None where the data say so.
    metric: 'top1', 'mean_per_class' or 'map11' (several labels an image).
    citation: what to cite; empty for a user's own data.
    license: the terms of the data.
    counts: train, val and test; None where a share is drawn, or the data say.
    held_out: how validation is drawn; None where it is official.
    may_lack: whether images that are lost are left out, and said.
    tfds: where TFDS has it.
    page: its official page.
    size: of what has to be downloaded.
    traps: what goes wrong in getting it.
  """

  name: str
  title: str
  classes: int | None
  metric: str
  citation: str
  license: str
  counts: Mapping[str, int] | None = None
  held_out: HeldOut | None = None
  may_lack: bool = False
  tfds: Tfds | None = None
  page: str = ''
  size: str = ''
  traps: str = ''

  @property
  def official(self) -> bool:
    """Whether its authors define splits, as those of the paper's do."""
    return self.tfds is not None


def _counts(train: int, val: int, test: int) -> Mapping[str, int]:
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
    held_out=HeldOut(each=75, by='content'),
    tfds=Tfds(
      name='food101',
      major=2,
      parts={'train': ('train',), 'test': ('validation',)},
      name_feature='id',
    ),
    page='https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/',
    size='5 GB',
    traps='TFDS calls test validation; train is not cleaned, on purpose',
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
    held_out=HeldOut(each=500, by='content'),
    tfds=Tfds('cifar10', 3, _TRAIN_TEST, 'id'),
    page='https://www.cs.toronto.edu/~kriz/cifar.html',
    size='163 MB',
    traps='the server is slow at times; take the version for Python',
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
    held_out=HeldOut(each=None, by='content'),
    tfds=Tfds('cifar100', 3, _TRAIN_TEST, 'id'),
    page='https://www.cs.toronto.edu/~kriz/cifar.html',
    size='161 MB',
    traps='the server is slow at times; the 100 fine labels count, not the 20',
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
    held_out=HeldOut(each=None, by='name'),
    may_lack=True,
    tfds=Tfds(
      name='birdsnap',
      major=1,
      parts=_TRAIN_TEST,
      name_feature='file_name',
      manual='the folder birdsnap with the official layout',
    ),
    page='http://thomasberg.org/',
    size='8 MB of addresses; the images are fetched from Flickr one by one',
    traps='most photos are gone: of 2,443 test images about 1,850 are left, of '
    '47,386 others 39,860 to 46,687. What is here is what is evaluated, and '
    'every record says how much that is',
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
    held_out=HeldOut(each=10, by='name'),
    tfds=Tfds(
      name='sun397/standard-part1-120k',
      major=4,
      parts=_TRAIN_TEST,
      name_feature='file_name',
      note='images as TFDS encodes them anew: at most 120,000 pixels, JPEG '
      'quality 72',
    ),
    page='https://vision.princeton.edu/projects/2010/SUN/',
    size='37 GB',
    traps="the site is dead; TFDS's default config is a random split, not "
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
    held_out=HeldOut(each=None, by='content'),
    tfds=Tfds('cars196', 2, _TRAIN_TEST, 'id'),
    page='https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
    size='1.9 GB',
    traps='the site is dead, for TFDS too; cars_test_annos.mat of the devkit '
    'has no labels: cars_test_annos_withlabels.mat is a file of its own',
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
      parts=_OFFICIAL,
      name_feature='file_name',
      manual='the folder fgvc-aircraft-2013b with the official layout',
    ),
    page='https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/',
    size='2.8 GB',
    traps='each image has a banner of 20 px at the bottom with the '
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
    page='http://host.robots.ox.ac.uk/pascal/VOC/voc2007/',
    size='900 MB',
    traps='the site is often down, TFDS uses a mirror; trainval and test are '
    'two archives that unpack to one folder',
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
    page='https://www.robots.ox.ac.uk/~vgg/data/dtd/',
    size='600 MB',
    traps='of the ten folds the first is the one that counts',
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
    held_out=HeldOut(each=20, by='name'),
    tfds=Tfds(
      name='oxford_iiit_pet',
      major=4,
      parts=_TRAIN_TEST,
      name_feature='file_name',
      note='12 odd images as TFDS encodes them anew',
    ),
    page='https://www.robots.ox.ac.uk/~vgg/data/pets/',
    size='800 MB',
    traps='a dozen files are GIF, PNG or BMP under the name of a JPEG: they '
    'are read for what they are; the paper prints 3,369 for 3,669',
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
    held_out=HeldOut(each=5, by='name', test_from=30),
    tfds=Tfds(
      name='caltech101',
      major=3,
      parts={'whole': ('train', 'test')},
      name_feature='image/file_name',
    ),
    page='https://data.caltech.edu/records/mzrjq-6wc02',
    size='140 MB',
    traps="TFDS's own train and test follow the order of the file system: "
    'they are put together and drawn again; BACKGROUND_Google counts as a '
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
    page='https://www.robots.ox.ac.uk/~vgg/data/flowers/102/',
    size='350 MB',
    traps='the large part, tstid, is the test: 6,149 images, not 1,020',
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
    held_out=HeldOut(each=50, by='name'),
    tfds=Tfds(
      name='imagenet2012',
      major=5,
      parts={'train': ('train',), 'test': ('validation',)},
      name_feature='file_name',
      manual='ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar',
      note='23 odd images as TFDS encodes them anew',
    ),
    page='https://image-net.org/download-images',
    size='145 GB',
    traps='test is what the challenge calls validation; its own test has no '
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


def row(name: str) -> Row | None:
  """The row of a named dataset; None where there is none."""
  return next((row for row in TABLE if row.name == name), None)


def title(name: str) -> str:
  """Returns the title of a dataset for people.

  Args:
    name: of the table, or 'folder:PATH', whose title is the last part of the
      path. An unknown name is its own title.
  """
  if name.startswith(FOLDER.name):
    return pathlib.PurePath(name).name
  found = row(name)
  return name if found is None else found.title
