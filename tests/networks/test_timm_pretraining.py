"""The rules of tags, against what is known of single checkpoints."""

import collections
import re

import pytest

from tf_transfer.networks import published_timm, timm_pretraining
from tf_transfer.networks.timm_pretraining import (
  HASHTAGS,
  IMAGENET_1K,
  LANGUAGE,
  MORE_LABELS,
  SELF_SUPERVISED,
  UNKNOWN,
)


@pytest.mark.parametrize(
  ('checkpoint', 'group', 'data'),
  [
    ('timm/resnet50.a1_in1k', IMAGENET_1K, ()),
    ('resnet50.tv_in1k', IMAGENET_1K, ()),
    ('flexivit_small.1200ep_in1k', IMAGENET_1K, ()),
    # Distilled from a network that saw ImageNet-1k alone.
    ('levit_384.fb_dist_in1k', IMAGENET_1K, ()),
    ('convnext_base.fb_in22k_ft_in1k', MORE_LABELS, ('ImageNet-22k',)),
    ('tf_efficientnet_b7.ns_jft_in1k', MORE_LABELS, ('JFT-300M',)),
    (
      'resnext101_32x8d.fb_wsl_ig1b_ft_in1k',
      HASHTAGS,
      ('Instagram-1B',),
    ),
    ('resnet50.fb_ssl_yfcc100m_ft_in1k', MORE_LABELS, ('YFCC-100M',)),
    ('regnety_160.swag_lc_in1k', HASHTAGS, ('Instagram-3.6B',)),
    ('hrnet_w18_ssld.paddle_in1k', MORE_LABELS, ('ImageNet-22k',)),
    ('convnextv2_tiny.fcmae_ft_in1k', SELF_SUPERVISED, ()),
    (
      'convnextv2_tiny.fcmae_ft_in22k_in1k',
      SELF_SUPERVISED,
      ('ImageNet-22k',),
    ),
    (
      'beit_base_patch16_224.in22k_ft_in22k_in1k',
      SELF_SUPERVISED,
      ('ImageNet-22k',),
    ),
    ('regnety_1280.seer_ft_in1k', SELF_SUPERVISED, ('Instagram-1B',)),
    ('vit_small_patch14_dinov2.lvd142m', SELF_SUPERVISED, ('LVD-142M',)),
    (
      'vit_base_patch16_clip_224.openai_ft_in12k_in1k',
      LANGUAGE,
      ("OpenAI's 400M pairs", 'ImageNet-12k'),
    ),
    ('vit_so400m_patch14_siglip_378.webli_ft_in1k', LANGUAGE, ('WebLI',)),
    # Masked patches predict CLIP's features.
    (
      'eva02_large_patch14_448.mim_m38m_ft_in1k',
      LANGUAGE,
      ('Merged-38M',),
    ),
    ('beitv2_base_patch16_224.in1k_ft_in1k', LANGUAGE, ()),
    ('tiny_vit_5m_224.dist_in22k_ft_in1k', LANGUAGE, ('ImageNet-22k',)),
    # Of the same architecture without the teacher.
    ('tiny_vit_5m_224.in1k', IMAGENET_1K, ()),
    # One word is new.
    ('resnet50.magic_in1k', UNKNOWN, ()),
    ('resnet50', UNKNOWN, ()),
  ],
)
def test_group_and_data_of_a_checkpoint(checkpoint, group, data):
  result = timm_pretraining.pretraining(checkpoint)
  assert (result.group, result.data) == (group, data)
  assert result.title == timm_pretraining.GROUPS[group]
  assert bool(result.reason) == (group not in (IMAGENET_1K, UNKNOWN))


def test_every_published_tag_is_classified():
  names = published_timm.checkpoints()
  unknown = {n: timm_pretraining.unknown_words(n) for n in names}
  assert {n: words for n, words in unknown.items() if words} == {}
  groups = collections.Counter(
    timm_pretraining.pretraining(name).group for name in names
  )
  assert groups == {
    IMAGENET_1K: 959,
    MORE_LABELS: 195,
    HASHTAGS: 15,
    LANGUAGE: 64,
    SELF_SUPERVISED: 33,
  }


def test_tags_that_name_larger_data_are_never_imagenet_1k_alone():
  """Found without the rules, by the letters of the data."""
  larger = re.compile(r'in(12|21|22)k|laion|openai|webli|jft|yfcc|ig1b|clip')
  for name in published_timm.checkpoints():
    if larger.search(name.partition('.')[2]):
      group = timm_pretraining.pretraining(name).group
      assert group not in (IMAGENET_1K, UNKNOWN), name


def test_words_that_are_not_known():
  words = timm_pretraining.unknown_words('resnet50.magic_e300_in1k_new')
  assert words == ('magic', 'new')
