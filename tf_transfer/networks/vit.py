"""Vision transformers (Dosovitskiy et al., 2021), and what came of them.

DeiT (Touvron et al., 2021) has the same architecture, DeiT III adds layer
scale, DINOv2 (Oquab et al., 2023) smaller patches and registers, CLIP (Radford
et al., 2021) a norm ahead of all blocks, SigLIP (Zhai et al., 2023) attention
pooling.

The weights have a position embedding of the image size of their pretraining.
It is resampled to the size of the images.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from tf_transfer.networks import (
  attention,
  layers,
  modern_layers,
  position_embedding,
)

Array = jax.Array

_INITIAL = nn.initializers.truncated_normal(0.02)


def quick_gelu(x: Array) -> Array:
  """Computes x σ(1.702 x), of the first CLIP's weights."""
  return x * nn.sigmoid(1.702 * x)


_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
  'gelu': modern_layers.gelu,
  'quick_gelu': quick_gelu,
}
# What stands for the network's own feature, and those that may be chosen.
OWN_FEATURE = ''
FEATURES = ('class_token', 'patch_mean', 'both')


@dataclasses.dataclass(frozen=True)
class Architecture:
  """What no weights file changes.

  Attributes:
    width: of all tokens.
    heads: of attention.
    depth: number of blocks.
    patch: height and width of a patch, in pixels.
    has_class_token: whether there is a class token.
    has_class_position: whether the class token has a position embedding.
    registers: number of tokens that nothing reads at the end.
    has_patch_bias: whether the embedding of patches has a bias.
    norm_first: whether there is a norm ahead of all blocks.
    layer_scale: initial scale of what a block adds; None without layer scale.
    attention_pool: whether a query of its own pools the patches.
  """

  width: int
  heads: int
  depth: int = 12
  patch: int = 16
  has_class_token: bool = True
  has_class_position: bool = True
  registers: int = 0
  has_patch_bias: bool = True
  norm_first: bool = False
  layer_scale: float | None = None
  attention_pool: bool = False

  def num_positions(self, image_size: int) -> int:
    """Returns the number of vectors of the position embedding."""
    has_class = self.has_class_token and self.has_class_position
    return (image_size // self.patch) ** 2 + has_class


TINY = Architecture(width=192, heads=3)
SMALL = Architecture(width=384, heads=6)
BASE = Architecture(width=768, heads=12)
DEIT3_SMALL = dataclasses.replace(
  SMALL, has_class_position=False, layer_scale=1e-6
)
DINOV2_SMALL = dataclasses.replace(SMALL, patch=14, layer_scale=1e-5)
DINOV2_BASE = dataclasses.replace(BASE, patch=14, layer_scale=1e-5)
DINOV2_SMALL_REG4 = dataclasses.replace(
  DINOV2_SMALL, registers=4, has_class_position=False
)
CLIP_BASE = dataclasses.replace(BASE, has_patch_bias=False, norm_first=True)
SIGLIP_BASE = dataclasses.replace(
  BASE, has_class_token=False, attention_pool=True
)


class Linear(nn.Module):
  """A linear layer with a bias over the last axis.

  Attributes:
    features: number of outputs.
  """

  features: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param('kernel', _INITIAL, (x.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    # Of two axes: with more, XLA transposes copies for the kernel's gradient.
    rows = x.reshape(-1, x.shape[-1]) @ kernel.astype(x.dtype)
    return (rows + bias.astype(x.dtype)).reshape(*x.shape[:-1], -1)


class PatchEmbedding(nn.Module):
  """Maps each patch of an image to a vector.

  It is a convolution whose windows do not overlap, computed as one product.

  Attributes:
    features: of the vectors.
    patch: height and width of a patch, in pixels.
    use_bias: whether there is a bias.
  """

  features: int
  patch: int
  use_bias: bool

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [B, H, W, 3] to [B, H / patch, W / patch, features]."""
    side, (batch, height, width, channels) = self.patch, x.shape
    shape = (side, side, channels, self.features)
    kernel = self.param('kernel', nn.initializers.lecun_normal(), shape)
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, side**2 * channels)
    x = x @ kernel.reshape(-1, self.features).astype(x.dtype)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,))
      x = x + bias.astype(x.dtype)
    return x.reshape(batch, height // side, width // side, self.features)


class Attention(nn.Module):
  """Attention of all tokens to all.

  Attributes:
    heads: number of heads.
  """

  heads: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [B, N, D] to [B, N, D]."""
    width = x.shape[-1]
    x = Linear(3 * width, name='query_key_value')(x)
    x = x.reshape(*x.shape[:2], 3, self.heads, -1)
    x = attention.attention(x[:, :, 0], x[:, :, 1], x[:, :, 2])
    return Linear(width, name='out')(x.reshape(*x.shape[:2], width))


class MLP(nn.Module):
  """Two linear layers, the first four times as wide.

  Attributes:
    activation: between them.
  """

  activation: str

  @nn.compact
  def __call__(self, x: Array) -> Array:
    width = x.shape[-1]
    x = _ACTIVATIONS[self.activation](Linear(4 * width, name='expand')(x))
    return Linear(width, name='project')(x)


class Block(nn.Module):
  """Attention and an MLP, each after a norm and added to its input.

  Attributes:
    heads: of attention.
    activation: of the MLP.
    epsilon: of the norms.
    layer_scale: as of `Architecture`.
    drop_rate: share of the examples for which training drops what is added.
  """

  heads: int
  activation: str
  epsilon: float
  layer_scale: float | None
  drop_rate: float

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    """Maps [B, N, D] to [B, N, D]."""
    for number, module in enumerate(
      (
        Attention(self.heads, name='attention'),
        MLP(self.activation, name='mlp'),
      ),
      start=1,
    ):
      norm = modern_layers.LayerNorm(self.epsilon, name=f'norm{number}')
      y = module(norm(x))
      if self.layer_scale is not None:
        name = f'layer_scale{number}'
        y = modern_layers.LayerScale(self.layer_scale, name=name)(y)
      x = x + layers.DropPath(self.drop_rate)(y, train)
    return x


class AttentionPool(nn.Module):
  """Pools patches by a query that is a parameter, and adds an MLP of it.

  Attributes:
    heads: of attention.
    activation: of the MLP.
    epsilon: of the norm.
  """

  heads: int
  activation: str
  epsilon: float

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [B, N, D] to [B, D]."""
    batch, _, width = x.shape
    latent = self.param('latent', _INITIAL, (width,)).astype(x.dtype)
    query = Linear(width, name='query')(latent[jnp.newaxis])
    query = jnp.broadcast_to(
      query.reshape(1, 1, self.heads, -1),
      (batch, 1, self.heads, width // self.heads),
    )
    x = Linear(2 * width, name='key_value')(x)
    x = x.reshape(*x.shape[:2], 2, self.heads, -1)
    x = attention.attention(query, x[:, :, 0], x[:, :, 1])
    x = Linear(width, name='out')(x.reshape(batch, width))
    norm = modern_layers.LayerNorm(self.epsilon, name='norm')
    return x + MLP(self.activation, name='mlp')(norm(x))


class VisionTransformer(nn.Module):
  """A vision transformer.

  Attributes:
    architecture: what no weights file changes.
    pretrained_size: height and width, in pixels, of the images that the
      position embedding is for; of others it is resampled.
    activation: 'gelu' or 'quick_gelu' (of OpenAI's CLIP).
    epsilon: added to the variance in norms.
    feature: what is returned, after the last norm: 'class_token', 'patch_mean'
      or 'both', one after the other; '' is what the network's head reads, the
      class token or, without one, what attention pools.
    drop_path: share of the examples for which training drops what a block adds.
      It grows linearly from 0 at the first block.
  """

  architecture: Architecture = BASE
  pretrained_size: int = 224
  activation: str = 'gelu'
  epsilon: float = 1e-6
  feature: str = OWN_FEATURE
  drop_path: float = 0.0

  def __post_init__(self) -> None:
    layers.check_option('activation', self.activation, tuple(_ACTIVATIONS))
    if self.feature and not self.architecture.has_class_token:
      raise ValueError(
        f'feature: {self.feature!r} of a network without a class token, whose '
        'feature is what attention pools'
      )
    layers.check_option('feature', self.feature, (OWN_FEATURE, *FEATURES))
    self._check_size('pretrained_size', self.pretrained_size)
    super().__post_init__()

  def _check_size(self, name: str, *sizes: int) -> None:
    """Raises a ValueError unless sizes are positive multiples of a patch."""
    for size in sizes:
      if size <= 0 or size % self.architecture.patch:
        raise ValueError(
          f'{name}: expected a multiple of {self.architecture.patch} px, the '
          f'size of a patch, got {size} px'
        )

  @property
  def feature_dim(self) -> int:
    """Number of features."""
    return self.architecture.width * (2 if self.feature == 'both' else 1)

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    """Maps [B, H, W, 3] to features [B, D]; H and W are whole patches."""
    built = self.architecture
    self._check_size('image_size', *x.shape[1:3])
    embed = PatchEmbedding(
      built.width, built.patch, built.has_patch_bias, name='patch_embedding'
    )
    x, num_others = self._add_tokens(embed(x))
    if built.norm_first:
      x = modern_layers.LayerNorm(self.epsilon, name='first_norm')(x)
    for number in range(built.depth):
      x = Block(
        built.heads,
        self.activation,
        self.epsilon,
        built.layer_scale,
        self.drop_path * number / max(built.depth - 1, 1),
        name=f'block{number + 1}',
      )(x, train)
    x = modern_layers.LayerNorm(self.epsilon, name='norm')(x)
    return self._pool(x, num_others)

  def _add_tokens(self, x: Array) -> tuple[Array, int]:
    """Adds the position embedding, the class token and the registers.

    Args:
      x: [B, H, W, D], embedded patches.

    Returns:
      All tokens [B, N, D], the patches last; and how many others there are.
    """
    built, (batch, height, width, channels) = self.architecture, x.shape
    count = built.num_positions(self.pretrained_size)
    positions = self.param(
      'position_embedding', _INITIAL, (count, channels), jnp.float32
    )
    side = self.pretrained_size // built.patch
    class_position, grid = positions[: count - side**2], positions[-(side**2) :]
    grid = position_embedding.resample(
      grid.reshape(side, side, channels), height, width
    )
    x = (x + grid.astype(x.dtype)).reshape(batch, height * width, channels)
    tokens = []
    if built.has_class_token:
      token = self.param('class_token', _INITIAL, (channels,), jnp.float32)
      tokens.append(token + class_position.sum(axis=0))
    if built.registers:
      shape = (built.registers, channels)
      tokens += [*self.param('registers', _INITIAL, shape, jnp.float32)]
    if tokens:
      others = jnp.stack(tokens).astype(x.dtype)
      others = jnp.broadcast_to(others, (batch, *others.shape))
      x = jnp.concatenate([others, x], axis=1)
    return x, len(tokens)

  def _pool(self, x: Array, num_others: int) -> Array:
    """Returns the feature of tokens [B, N, D] after the last norm."""
    patches = x[:, num_others:]
    if self.feature == 'patch_mean':
      return patches.mean(axis=1)
    if self.feature == 'both':
      return jnp.concatenate([x[:, 0], patches.mean(axis=1)], axis=-1)
    if not self.architecture.attention_pool:
      return x[:, 0]
    return AttentionPool(
      self.architecture.heads,
      self.activation,
      self.epsilon,
      name='attention_pool',
    )(patches)


class DINOv2(VisionTransformer):
  """DINOv2, whose position embedding is one of 518 px."""

  architecture: Architecture = DINOV2_BASE
  pretrained_size: int = 518
