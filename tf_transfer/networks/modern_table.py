"""The rows of the networks that came after the paper's."""

import functools
from collections.abc import Mapping

from tf_transfer.networks import efficientnet, efficientnet_v2, vit
from tf_transfer.networks.row import Row

_AUTHORS = "published by the network's authors"
_KERAS = "Keras's table of applications"

ROWS: Mapping[str, Row] = {
  'efficientnet_lite0': Row(
    title='EfficientNet-Lite0',
    family='EfficientNet',
    backbone=functools.partial(efficientnet.EfficientNetLite),
    image_size=224,
    feature_dim=1280,
    parameters=3_371_008,
    imagenet_top1=0.751,
    imagenet_top1_source=_AUTHORS,
  ),
  'efficientnet_lite1': Row(
    title='EfficientNet-Lite1',
    family='EfficientNet',
    backbone=functools.partial(efficientnet.EfficientNetLite, depth=1.1),
    image_size=240,
    feature_dim=1280,
    parameters=4_135_680,
    imagenet_top1=0.767,
    imagenet_top1_source=_AUTHORS,
  ),
  'efficientnet_lite2': Row(
    title='EfficientNet-Lite2',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet.EfficientNetLite, width=1.1, depth=1.2
    ),
    image_size=260,
    feature_dim=1280,
    parameters=4_811_072,
    imagenet_top1=0.776,
    imagenet_top1_source=_AUTHORS,
  ),
  'efficientnet_v2_b0': Row(
    title='EfficientNetV2-B0',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B0
    ),
    image_size=224,
    feature_dim=1280,
    parameters=5_858_704,
    imagenet_top1=0.787,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_b1': Row(
    title='EfficientNetV2-B1',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B1
    ),
    image_size=240,
    feature_dim=1280,
    parameters=6_860_052,
    imagenet_top1=0.798,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_b2': Row(
    title='EfficientNetV2-B2',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B2
    ),
    image_size=260,
    feature_dim=1408,
    parameters=8_687_086,
    imagenet_top1=0.805,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_b3': Row(
    title='EfficientNetV2-B3',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.B3
    ),
    image_size=300,
    feature_dim=1536,
    parameters=12_821_406,
    imagenet_top1=0.820,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_s': Row(
    title='EfficientNetV2-S',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.S
    ),
    image_size=384,
    feature_dim=1280,
    parameters=20_177_488,
    imagenet_top1=0.839,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_m': Row(
    title='EfficientNetV2-M',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.M
    ),
    image_size=480,
    feature_dim=1280,
    parameters=52_858_356,
    imagenet_top1=0.853,
    imagenet_top1_source=_KERAS,
  ),
  'efficientnet_v2_l': Row(
    title='EfficientNetV2-L',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet_v2.EfficientNetV2, efficientnet_v2.L
    ),
    image_size=480,
    feature_dim=1280,
    parameters=117_234_272,
    imagenet_top1=0.857,
    imagenet_top1_source=_KERAS,
  ),
  'vit_tiny': Row(
    title='ViT-Ti/16',
    family='ViT',
    backbone=functools.partial(vit.VisionTransformer, vit.TINY),
    image_size=224,
    feature_dim=192,
    parameters=5_524_416,
    min_image_size=16,
    size_multiple=16,
  ),
  'vit_small': Row(
    title='ViT-S/16',
    family='ViT',
    backbone=functools.partial(vit.VisionTransformer, vit.SMALL),
    image_size=224,
    feature_dim=384,
    parameters=21_665_664,
    min_image_size=16,
    size_multiple=16,
  ),
  'vit_base': Row(
    title='ViT-B/16',
    family='ViT',
    backbone=functools.partial(vit.VisionTransformer, vit.BASE),
    image_size=224,
    feature_dim=768,
    parameters=85_798_656,
    min_image_size=16,
    size_multiple=16,
  ),
  'deit3_small': Row(
    title='DeiT III S/16',
    family='ViT',
    backbone=functools.partial(vit.VisionTransformer, vit.DEIT3_SMALL),
    image_size=224,
    feature_dim=384,
    parameters=21_674_496,
    imagenet_top1=0.81382,
    imagenet_top1_source="timm's table of results",
    min_image_size=16,
    size_multiple=16,
  ),
  'dinov2_small': Row(
    title='DINOv2 ViT-S/14',
    family='DINOv2',
    backbone=functools.partial(vit.DINOv2, vit.DINOV2_SMALL),
    image_size=518,
    feature_dim=384,
    parameters=22_056_192,
    min_image_size=14,
    size_multiple=14,
  ),
  'dinov2_base': Row(
    title='DINOv2 ViT-B/14',
    family='DINOv2',
    backbone=functools.partial(vit.DINOv2, vit.DINOV2_BASE),
    image_size=518,
    feature_dim=768,
    parameters=86_579_712,
    min_image_size=14,
    size_multiple=14,
  ),
  'dinov2_small_reg4': Row(
    title='DINOv2 ViT-S/14 (registers)',
    family='DINOv2',
    backbone=functools.partial(vit.DINOv2, vit.DINOV2_SMALL_REG4),
    image_size=518,
    feature_dim=384,
    parameters=22_057_344,
    min_image_size=14,
    size_multiple=14,
  ),
  'clip_vit_base': Row(
    title='CLIP ViT-B/16',
    family='CLIP',
    backbone=functools.partial(vit.VisionTransformer, vit.CLIP_BASE),
    image_size=224,
    feature_dim=768,
    parameters=85_799_424,
    min_image_size=16,
    size_multiple=16,
  ),
  'siglip_vit_base': Row(
    title='SigLIP ViT-B/16',
    family='SigLIP',
    backbone=functools.partial(vit.VisionTransformer, vit.SIGLIP_BASE),
    image_size=224,
    feature_dim=768,
    parameters=92_884_224,
    min_image_size=16,
    size_multiple=16,
  ),
}
