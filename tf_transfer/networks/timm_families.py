"""Says of which family of architectures a checkpoint of timm is, by its name.

Networks of one family are of the same design or by the same authors, so that
their errors are alike: statistics do not count them as independent. The rule
follows the design, which mostly is timm's module. It goes by name where a
module holds several designs (byobnet, byoanet, efficientnet, mobilenetv3,
maxxvit, metaformer, eva, vision_transformer), and puts modules together that
are variants of one design (ResNet's). Families of networks that this program
has too are named as in its own table.
"""

import functools
import re
from collections.abc import Mapping

from tf_transfer.networks import published_timm

# Family -> pattern that the beginning of an architecture's name matches. The
# first family that matches counts, so special names come before general ones.
_PATTERNS: Mapping[str, str] = {
  # Attention inside of a ResNet or RegNet, all by timm's author.
  'Attention ResNet': (
    r'(eca_)?botnext|botnet|(eca_)?halonext|halo|sebotnet|sehalonet|lambda_|'
    r'lamhalobotnet|bat_'
  ),
  'NFNet': r'(dm_|eca_)?nfnet|nf_|test_nfnet',
  'ResNet v2': r'resnetv2_',
  'ResNeSt': r'resnest',
  'TResNet': r'tresnet',
  'CSPNet': r'csp|cs3|darknet',
  'Res2Net': r'res2ne',
  'ResNet': (
    r'(wide_|se|eca|gc|eca_|sk|legacy_se)?res(net|next)|legacy_senet|senet|'
    r'test_resnet'
  ),
  'Xception': r'(legacy_)?xception',
  'InceptionNeXt': r'inception_next',
  'Inception': r'inception_',
  'NASNet': r'p?nasnet',
  'DenseNet': r'densenet',
  'RDNet': r'rdnet',
  'DLA': r'dla',
  'DPN': r'dpn',
  'VGG': r'vgg',
  'HRNet': r'hrnet',
  'SelecSLS': r'selecsls',
  'VoVNet': r'ese_vovnet',
  'RegNet': r'regnet',
  'GENet': r'gernet',
  'RepVGG': r'repvgg',
  'MobileOne': r'mobileone',
  'test_byobnet': r'test_byobnet',
  'FBNet': r'fbnet|hardcorenas',
  'LCNet': r'lcnet',
  'MixNet': r'(tf_)?mixnet',
  'MnasNet': r'(se)?mnasnet|spnasnet',
  'TinyNet': r'tinynet',
  'GhostNet': r'(rep)?ghostnet',
  'EfficientViT (MSRA)': r'efficientvit_m',
  'EfficientViT (MIT)': r'efficientvit_[bl]',
  'EfficientFormer': r'efficientformer',
  'EfficientNet': r'(tf_|gc_|test_)?efficientnet',
  'MobileViT': r'mobilevit',
  'MobileNet': r'(tf_)?mobilenet',
  'ReXNet': r'rexnet',
  'HGNet': r'hgnet',
  'StarNet': r'starnet',
  'FasterNet': r'fasternet',
  'RepViT': r'repvit',
  'FastViT': r'fastvit',
  'SHViT': r'shvit',
  'SwiftFormer': r'swiftformer',
  'Next-ViT': r'nextvit',
  'MambaOut': r'mambaout',
  'ConvNeXt': r'(test_)?convnext',
  'ConvMixer': r'convmixer',
  'EdgeNeXt': r'edgenext',
  'FocalNet': r'focalnet',
  'MetaFormer': r'(ca|conv|pool)former',
  'MLP': r'mixer|gmixer|gmlp|resmlp',
  'Sequencer': r'sequencer',
  'MaxViT': r'maxvit|maxxvit|coatne[tx]t?',
  'CoaT': r'coat_',
  'Swin': r'swin',
  'DaViT': r'davit',
  'GCViT': r'gcvit',
  'MViT': r'mvitv2',
  'Hiera': r'hiera',
  'NesT': r'nest_',
  'PVT': r'pvt_',
  'Twins': r'twins_',
  'PiT': r'pit_',
  'LeViT': r'levit',
  'CrossViT': r'crossvit',
  'ConViT': r'convit',
  'Visformer': r'visformer',
  'TNT': r'tnt_',
  'TinyViT': r'tiny_vit',
  'XCiT': r'xcit',
  'CaiT': r'cait',
  'VOLO': r'volo',
  'BEiT': r'beit',
  'EVA': r'eva',
  'DeiT': r'deit',
  'ViT': r'vit_|flexivit|naflexvit|test_vit',
}


@functools.cache
def family(checkpoint: str) -> str:
  """Returns the family of a checkpoint: 'ResNet' for 'resnet50.a1_in1k'.

  Args:
    checkpoint: its name on the hub, with or without a tag.

  Returns:
    The family; the architecture's own name where no rule knows it.
  """
  architecture, _ = published_timm.split_name(checkpoint)
  for name, pattern in _PATTERNS.items():
    if re.match(pattern, architecture):
      return name
  return architecture
