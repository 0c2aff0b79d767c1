"""Says on what data a checkpoint of timm was pretrained, by its name.

A name is ARCHITECTURE.TAG. The words of a tag, between underscores, name data,
recipes and authors. Every word must be known, else the group is 'unknown': a
new tag is not taken for one of ImageNet-1k alone because nothing in it is
known. Where the architecture's name says what the tag does not, a rule of names
does (`_NAMES`).

What a teacher was trained on counts where the name says so or the rule's
reason does. A teacher that neither mentions is not known here.
"""

import dataclasses
import re
from collections.abc import Mapping

from tf_transfer.networks import published_timm

IMAGENET_1K, MORE_LABELS, HASHTAGS = 'imagenet_1k', 'more_labels', 'hashtags'
SELF_SUPERVISED, LANGUAGE, UNKNOWN = 'self_supervised', 'language', 'unknown'
# Group -> its title, in the order of figures and tables.
GROUPS: Mapping[str, str] = {
  IMAGENET_1K: 'ImageNet-1k alone',
  MORE_LABELS: 'more labeled images',
  HASHTAGS: 'images with hashtags',
  SELF_SUPERVISED: 'self-supervised',
  LANGUAGE: 'images with text',
  UNKNOWN: 'unknown',
}
# Of several that a name has, the first is its group: what the web wrote, in
# text or hashtags, is kept apart from labels of ImageNet's kind, and
# self-supervision from the labels that are learned after it.
_PRECEDENCE = (LANGUAGE, SELF_SUPERVISED, HASHTAGS, MORE_LABELS)


@dataclasses.dataclass(frozen=True)
class Pretraining:
  """On what a checkpoint was pretrained.

  Attributes:
    group: one of GROUPS.
    data: the data beyond ImageNet-1k, as titles; () where there are none or
      they are unknown.
    reason: why it is of this group; '' where no word needs one.
  """

  group: str
  data: tuple[str, ...] = ()
  reason: str = ''

  @property
  def title(self) -> str:
    """The title of the group."""
    return GROUPS[self.group]


@dataclasses.dataclass(frozen=True)
class _Rule:
  """What a word of a tag, or a name, says.

  Attributes:
    group: one of _PRECEDENCE.
    data: the title of the data, '' where others name it.
    reason: why it is of this group.
  """

  group: str
  data: str
  reason: str


_PEOPLE = 'labels of people'
_HASHTAGS = 'weak labels: hashtags'
_TEACHER = 'labels of a teacher'
_TEXT = 'images with their captions'
_MASKED = 'masked patches are predicted, without labels'
_INVARIANT = 'views of an image are made alike, without labels'
_CLIP_TARGETS = "masked patches predict CLIP's features"

_WORDS: Mapping[str, _Rule] = {
  'in12k': _Rule(MORE_LABELS, 'ImageNet-12k', _PEOPLE),
  'in21k': _Rule(MORE_LABELS, 'ImageNet-21k', _PEOPLE),
  'in22k': _Rule(MORE_LABELS, 'ImageNet-22k', _PEOPLE),
  'jft': _Rule(MORE_LABELS, 'JFT-300M', f'{_TEACHER} (Noisy Student)'),
  'yfcc100m': _Rule(MORE_LABELS, 'YFCC-100M', _TEACHER),
  'ig1b': _Rule(HASHTAGS, 'Instagram-1B', _HASHTAGS),
  'swag': _Rule(HASHTAGS, 'Instagram-3.6B', _HASHTAGS),
  # 4 of ImageNet-22k's 14 million images.
  'ssld': _Rule(MORE_LABELS, 'ImageNet-22k', f'{_TEACHER} (SSLD)'),
  # Its teacher, a TResNet of 83.9 %, is tresnet_v2_l.miil_in21k_ft_in1k.
  'usi': _Rule(
    MORE_LABELS, 'ImageNet-21k by a teacher', f'{_TEACHER} pretrained on more'
  ),
  'mae': _Rule(SELF_SUPERVISED, '', _MASKED),
  'fcmae': _Rule(SELF_SUPERVISED, '', _MASKED),
  'mim': _Rule(SELF_SUPERVISED, '', _MASKED),
  'ijepa': _Rule(SELF_SUPERVISED, '', _MASKED),
  'dino': _Rule(SELF_SUPERVISED, '', _INVARIANT),
  'dinov3': _Rule(SELF_SUPERVISED, '', _INVARIANT),
  'seer': _Rule(SELF_SUPERVISED, 'Instagram-1B', _INVARIANT),
  'lvd142m': _Rule(SELF_SUPERVISED, 'LVD-142M', _INVARIANT),
  'lvd1689m': _Rule(SELF_SUPERVISED, 'LVD-1689M', _INVARIANT),
  'sat493m': _Rule(SELF_SUPERVISED, 'SAT-493M', _INVARIANT),
  'm30m': _Rule(SELF_SUPERVISED, 'Merged-30M', _MASKED),
  'm38m': _Rule(SELF_SUPERVISED, 'Merged-38M', _MASKED),
  'clip': _Rule(LANGUAGE, '', _TEXT),
  'openai': _Rule(LANGUAGE, "OpenAI's 400M pairs", _TEXT),
  'laion400m': _Rule(LANGUAGE, 'LAION-400M', _TEXT),
  'laion2b': _Rule(LANGUAGE, 'LAION-2B', _TEXT),
  'laiona': _Rule(LANGUAGE, 'LAION-Aesthetic', _TEXT),
  'webli': _Rule(LANGUAGE, 'WebLI', _TEXT),
  'datacompxl': _Rule(LANGUAGE, 'DataComp-XL', _TEXT),
  'dfn2b': _Rule(LANGUAGE, 'DFN-2B', _TEXT),
  'dfn5b': _Rule(LANGUAGE, 'DFN-5B', _TEXT),
  'metaclip': _Rule(LANGUAGE, 'MetaCLIP', _TEXT),
  'metaclip2': _Rule(LANGUAGE, 'MetaCLIP 2', _TEXT),
  'merged2b': _Rule(LANGUAGE, 'Merged-2B', _TEXT),
}
# Pattern that the beginning of a name matches -> what it says.
_NAMES: Mapping[str, _Rule] = {
  r'eva(02)?_': _Rule(LANGUAGE, '', _CLIP_TARGETS),
  r'beitv2_': _Rule(LANGUAGE, '', _CLIP_TARGETS),
  r'beit3_': _Rule(LANGUAGE, '', _TEXT),
  r'beit_': _Rule(SELF_SUPERVISED, '', _MASKED),
  r'tiny_vit_\w+\.dist_in22k': _Rule(LANGUAGE, '', 'its teacher is a CLIP'),
  r'resnetv2_50x1_bit\.goog_distilled': _Rule(
    MORE_LABELS, 'ImageNet-21k by a teacher', f'{_TEACHER} pretrained on more'
  ),
  # Its tag, paddle, does not say it.
  r'hrnet_w\d+_ssld\.': _WORDS['ssld'],
}
# The other words of tags. They say with which recipe, by whom, or at which
# size; none of them means other images than those of ImageNet-1k.
_OTHER_WORDS = frozenset(
  word
  for words in (
    # Stages: fine-tuned, distilled from a teacher, averaged, a linear head.
    'ft dist distilled teacher soup stage1 stage2 lc pd indomain orig',
    # Semi- and weakly supervised, of the data that the tag names beside it.
    'ssl swsl wsl ns',
    # Versions, samples seen, and sizes of data that are named beside them.
    'v2 pt s39b 2pt5b 400m worldwide altogether 6m',
    # Recipes.
    'a1 a1h a2 a2h a3 aa adv agc ah am ap augreg augreg2 aug b1k b2k bt c1 c2',
    'c2ns c3 ch d d1 d1h d2 dm ens green ix lamb lion racm ra ra2 ra3 ra4 ram',
    'rmsp rvgg sam sbb sbb2 sw',
    # Authors.
    'apple bd cvnets deit fb gluon goog idstcv miil ms msft mx nav naver nv',
    'paddle pycls sail snap tf tv tv2',
  )
  for word in words.split()
)
# Image sizes, epochs, and the resolution of training.
_NUMBER_WORD = re.compile(r'\d+|[ers]\d+|\d+ep?')
_BASE = 'in1k'


def pretraining(checkpoint: str) -> Pretraining:
  """Returns on what a checkpoint was pretrained.

  Args:
    checkpoint: its name on the hub, such as 'timm/resnet50.a1_in1k'.

  Returns:
    The group, the data and the reason; the group is 'unknown' where a word of
    the tag is not known, or there is no tag.
  """
  name = checkpoint.rpartition('/')[2]
  words = name.partition('.')[2].split('_')
  if unknown_words(name):
    return Pretraining(UNKNOWN)
  rules = [_WORDS[word] for word in words if word in _WORDS]
  rules += [r for pattern, r in _NAMES.items() if re.match(pattern, name)]
  for group in _PRECEDENCE:
    reasons = [rule.reason for rule in rules if rule.group == group]
    if reasons:
      data = dict.fromkeys(rule.data for rule in rules if rule.data)
      return Pretraining(group, tuple(data), reasons[0])
  return Pretraining(IMAGENET_1K)


def unknown_words(checkpoint: str) -> tuple[str, ...]:
  """Returns the words of a checkpoint's tag that no rule knows."""
  words = published_timm.split_name(checkpoint)[1].split('_')
  return tuple(word for word in words if not _is_known(word))


def _is_known(word: str) -> bool:
  """Says whether a word of a tag is known."""
  return (
    word == _BASE
    or word in _WORDS
    or word in _OTHER_WORDS
    or bool(_NUMBER_WORD.fullmatch(word))
  )
