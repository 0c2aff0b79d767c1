"""Names our networks in the libraries that are measured beside ours."""

# By network, its name in keras.applications, and in timm or torchvision; None
# where it is missing. BN-Inception and the small Inception are in none of them.
PEERS = {
  'inception_v1': (None, 'torchvision:googlenet'),
  'inception_v3': ('InceptionV3', 'inception_v3'),
  'inception_v4': (None, 'inception_v4'),
  'inception_resnet_v2': ('InceptionResNetV2', 'inception_resnet_v2'),
  'resnet50': ('ResNet50', 'resnet50'),
  'resnet101': ('ResNet101', 'resnet101'),
  'resnet152': ('ResNet152', 'resnet152'),
  'resnet18': (None, 'resnet18'),
  'resnet34': (None, 'resnet34'),
  'densenet121': ('DenseNet121', 'densenet121'),
  'densenet169': ('DenseNet169', 'densenet169'),
  'densenet201': ('DenseNet201', 'densenet201'),
  'mobilenet_v1': ('MobileNet', 'mobilenetv1_100'),
  'mobilenet_v2': ('MobileNetV2', 'mobilenetv2_100'),
  'mobilenet_v2_140': (('MobileNetV2', 1.4), 'mobilenetv2_140'),
  'mobilenet_v3_large': ('MobileNetV3Large', 'mobilenetv3_large_100'),
  'nasnet_mobile': ('NASNetMobile', None),
  'nasnet_large': ('NASNetLarge', 'nasnetalarge'),
  'efficientnet_lite0': (None, 'tf_efficientnet_lite0'),
  'efficientnet_lite1': (None, 'tf_efficientnet_lite1'),
  'efficientnet_lite2': (None, 'tf_efficientnet_lite2'),
  **{
    f'efficientnet_b{i}': (f'EfficientNetB{i}', f'tf_efficientnet_b{i}')
    for i in range(5)
  },
  **{
    f'efficientnet_v2_{size}': (
      f'EfficientNetV2{size.upper()}',
      f'tf_efficientnetv2_{size}',
    )
    for size in ('b0', 'b1', 'b2', 'b3', 's', 'm', 'l')
  },
  **{
    f'convnext_{size}': (f'ConvNeXt{size.capitalize()}', f'convnext_{size}')
    for size in ('tiny', 'small', 'base')
  },
  **{
    f'vit_{size}': (None, f'vit_{size}_patch16_224')
    for size in ('tiny', 'small', 'base')
  },
  'deit3_small': (None, 'deit3_small_patch16_224'),
  'dinov2_small': (None, 'vit_small_patch14_dinov2'),
  'dinov2_base': (None, 'vit_base_patch14_dinov2'),
  'dinov2_small_reg4': (None, 'vit_small_patch14_reg4_dinov2'),
  'clip_vit_base': (None, 'vit_base_patch16_clip_224'),
  'siglip_vit_base': (None, 'vit_base_patch16_siglip_224'),
}
