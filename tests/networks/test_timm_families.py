"""The rules of families, against timm's own modules."""

import pytest

from tf_transfer.networks import published_timm, table, timm_families

# Module of timm 1.0.31 -> its architectures among those with accuracies, of
# modules that hold one design. Counted in timm's registry of models.
_MODULES = {
  'cait': ('CaiT', 10),
  'coat': ('CoaT', 8),
  'convit': ('ConViT', 3),
  'convmixer': ('ConvMixer', 3),
  'convnext': ('ConvNeXt', 29),
  'crossvit': ('CrossViT', 11),
  'cspnet': ('CSPNet', 15),
  'davit': ('DaViT', 3),
  'deit': ('DeiT', 16),
  'densenet': ('DenseNet', 5),
  'dla': ('DLA', 12),
  'dpn': ('DPN', 6),
  'edgenext': ('EdgeNeXt', 5),
  'efficientvit_mit': ('EfficientViT (MIT)', 7),
  'efficientvit_msra': ('EfficientViT (MSRA)', 6),
  'fasternet': ('FasterNet', 6),
  'fastvit': ('FastViT', 7),
  'focalnet': ('FocalNet', 6),
  'gcvit': ('GCViT', 5),
  'hgnet': ('HGNet', 10),
  'hiera': ('Hiera', 7),
  'hrnet': ('HRNet', 11),
  'inception_next': ('InceptionNeXt', 4),
  'levit': ('LeViT', 10),
  'mambaout': ('MambaOut', 10),
  'maxxvit': ('MaxViT', 38),
  'metaformer': ('MetaFormer', 18),
  'mlp_mixer': ('MLP', 8),
  'mobilevit': ('MobileViT', 10),
  'mvitv2': ('MViT', 4),
  'nest': ('NesT', 3),
  'nextvit': ('Next-ViT', 3),
  'nfnet': ('NFNet', 14),
  'pit': ('PiT', 8),
  'pvt_v2': ('PVT', 7),
  'rdnet': ('RDNet', 4),
  'repvit': ('RepViT', 8),
  'res2net': ('Res2Net', 9),
  'resnest': ('ResNeSt', 8),
  'resnetv2': ('ResNet v2', 14),
  'rexnet': ('ReXNet', 7),
  'selecsls': ('SelecSLS', 3),
  'sequencer': ('Sequencer', 3),
  'shvit': ('SHViT', 4),
  'starnet': ('StarNet', 4),
  'swiftformer': ('SwiftFormer', 4),
  'tiny_vit': ('TinyViT', 5),
  'tnt': ('TNT', 3),
  'tresnet': ('TResNet', 4),
  'twins': ('Twins', 6),
  'vgg': ('VGG', 8),
  'visformer': ('Visformer', 2),
  'volo': ('VOLO', 11),
  'vovnet': ('VoVNet', 3),
  'xcit': ('XCiT', 28),
}


@pytest.fixture(scope='module')
def architectures():
  return {name.partition('.')[0] for name in published_timm.checkpoints()}


def test_families_are_modules_where_modules_hold_one_design(architectures):
  families = [timm_families.family(name) for name in architectures]
  assert {
    module: (name, families.count(name))
    for module, (name, _) in _MODULES.items()
  } == _MODULES


def test_every_published_architecture_has_a_family(architectures):
  """None is left as a family of its own because no rule knows it."""
  families = {name: timm_families.family(name) for name in architectures}
  assert set(families.values()) == set(timm_families._PATTERNS)
  assert len(set(families.values())) == 78


@pytest.mark.parametrize(
  ('checkpoint', 'family'),
  [
    ('timm/resnet50.a1_in1k', 'ResNet'),
    ('legacy_seresnext50_32x4d.in1k', 'ResNet'),
    ('wide_resnet50_2', 'ResNet'),
    ('resnetv2_50x1_bit.goog_in21k_ft_in1k', 'ResNet v2'),
    ('resnest50d.in1k', 'ResNeSt'),
    # Of the module efficientnet.
    ('mobilenetv2_100.ra_in1k', 'MobileNet'),
    ('tf_mobilenetv3_large_100.in1k', 'MobileNet'),
    ('tf_efficientnetv2_s.in21k_ft_in1k', 'EfficientNet'),
    # Of the module eva.
    ('vit_base_patch16_rope_224.naver_in1k', 'ViT'),
    # Of the module vision_transformer.
    ('eva_large_patch14_196.in22k_ft_in1k', 'EVA'),
    ('beit3_base_patch16_224.in22k_ft_in1k', 'BEiT'),
    ('deit3_small_patch16_224.fb_in1k', 'DeiT'),
    ('inception_next_tiny.sail_in1k', 'InceptionNeXt'),
    ('inception_v4.tf_in1k', 'Inception'),
    ('no_such_net.in1k', 'no_such_net'),
  ],
)
def test_family_of_a_checkpoint(checkpoint, family):
  assert timm_families.family(checkpoint) == family


@pytest.mark.parametrize(
  ('architecture', 'network'),
  [
    ('resnet50', 'resnet50'),
    ('densenet121', 'densenet121'),
    ('inception_v3', 'inception_v3'),
    ('nasnetalarge', 'nasnet_large'),
    ('mobilenetv2_100', 'mobilenet_v2'),
    ('tf_efficientnet_lite0', 'efficientnet_lite0'),
  ],
)
def test_families_are_those_of_this_programs_table(architecture, network):
  assert timm_families.family(architecture) == table.family(network)
