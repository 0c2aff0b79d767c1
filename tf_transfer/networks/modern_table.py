"""The rows of the networks that came after the paper's."""

import functools
from collections.abc import Mapping

from tf_transfer.networks import (
  convnext,
  efficientnet,
  efficientnet_v2,
  mobilenet_v3,
  resnet,
  vit,
)
from tf_transfer.networks.row import Row

_AUTHORS = "published by the network's authors"
_KERAS = "Keras's table of applications"
_TORCHVISION = "torchvision's table"


def _efficientnet(
  number: int, image_size: int, feature_dim: int, parameters: int, top1: float
) -> Row:
  """Makes the row of an EfficientNet, B0 to B4."""
  width, depth = efficientnet.MULTIPLIERS[number]
  return Row(
    title=f'EfficientNet-B{number}',
    family='EfficientNet',
    backbone=functools.partial(
      efficientnet.EfficientNet, width=width, depth=depth
    ),
    image_size=image_size,
    feature_dim=feature_dim,
    parameters=parameters,
    imagenet_top1=top1,
    imagenet_top1_source=_KERAS,
  )


ROWS: Mapping[str, Row] = {
  'resnet18': Row(
    title='ResNet-18',
    family='ResNet',
    backbone=functools.partial(
      resnet.ResNet, depths=resnet.DEPTHS_18, block=resnet.Basic
    ),
    image_size=224,
    feature_dim=512,
    parameters=11_176_512,
    imagenet_top1=0.69758,
    imagenet_top1_source=_TORCHVISION,
  ),
  'resnet34': Row(
    title='ResNet-34',
    family='ResNet',
    backbone=functools.partial(
      resnet.ResNet, depths=resnet.DEPTHS_34, block=resnet.Basic
    ),
    image_size=224,
    feature_dim=512,
    parameters=21_284_672,
    imagenet_top1=0.73314,
    imagenet_top1_source=_TORCHVISION,
  ),
  'mobilenet_v3_large': Row(
    title='MobileNet v3 large',
    family='MobileNet',
    backbone=functools.partial(mobilenet_v3.MobileNetV3Large),
    image_size=224,
    feature_dim=1280,
    parameters=4_202_032,
    imagenet_top1=0.756,
    imagenet_top1_source="Keras's documentation of MobileNet v3",
  ),
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
  'efficientnet_b0': _efficientnet(0, 224, 1280, 4_007_548, 0.771),
  'efficientnet_b1': _efficientnet(1, 240, 1280, 6_513_184, 0.791),
  'efficientnet_b2': _efficientnet(2, 260, 1408, 7_700_994, 0.801),
  'efficientnet_b3': _efficientnet(3, 300, 1536, 10_696_232, 0.816),
  'efficientnet_b4': _efficientnet(4, 380, 1792, 17_548_616, 0.829),
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
  'convnext_tiny': Row(
    title='ConvNeXt-T',
    family='ConvNeXt',
    backbone=functools.partial(
      convnext.ConvNeXt, convnext.DEPTHS_TINY, convnext.WIDTHS_TINY
    ),
    image_size=224,
    feature_dim=768,
    parameters=27_820_128,
    imagenet_top1=0.8252,
    imagenet_top1_source=_TORCHVISION,
    min_image_size=32,
  ),
  'convnext_small': Row(
    title='ConvNeXt-S',
    family='ConvNeXt',
    backbone=functools.partial(
      convnext.ConvNeXt, convnext.DEPTHS_SMALL, convnext.WIDTHS_SMALL
    ),
    image_size=224,
    feature_dim=768,
    parameters=49_454_688,
    imagenet_top1=0.83616,
    imagenet_top1_source=_TORCHVISION,
    min_image_size=32,
  ),
  'convnext_base': Row(
    title='ConvNeXt-B',
    family='ConvNeXt',
    backbone=functools.partial(
      convnext.ConvNeXt, convnext.DEPTHS_BASE, convnext.WIDTHS_BASE
    ),
    image_size=224,
    feature_dim=1024,
    parameters=87_566_464,
    imagenet_top1=0.84062,
    imagenet_top1_source=_TORCHVISION,
    min_image_size=32,
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
