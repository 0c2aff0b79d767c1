"""The inverted residual block of the mobile networks (Sandler et al., 2018).

A 1×1 convolution expands, a depthwise one filters, a 1×1 projects. Between the
last two, blocks that squeeze and excite (Hu et al., 2018) scale each channel by
a function of the means of all channels.
"""

import functools
from collections.abc import Callable

import jax
from flax import linen as nn

from tf_transfer.networks import layers

Activation = Callable[[jax.Array], jax.Array]


class InvertedResidual(layers.Normalized):
  """An inverted residual block; the input is added where the shapes agree.

  Attributes:
    features: number of output channels.
    width: channels of the depthwise convolution; where the input has as many,
      there is no 1×1 that expands.
    kernel_size: of the depthwise convolution.
    strides: of the depthwise convolution.
    padding: of the depthwise convolution, 'same' or 'symmetric'.
    activation: after the first two convolutions.
    squeezed: channels between squeezing and exciting; 0 for a block without.
    squeeze_activation: after squeezing.
    gate: turns what is excited into factors, in 0 to 1.
    drop_rate: share of the examples for which training drops all but the input.
  """

  features: int
  width: int
  kernel_size: int
  strides: int
  padding: str = 'same'
  activation: Activation = nn.silu
  squeezed: int = 0
  squeeze_activation: Activation = nn.silu
  gate: Activation = nn.sigmoid
  drop_rate: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    conv_bn = functools.partial(self.conv_bn, activation=self.activation)
    inputs = x
    if self.width != x.shape[-1]:
      x = conv_bn(self.width, name='expand')(x, train)
    x = conv_bn(
      self.width,
      (self.kernel_size, self.kernel_size),
      self.strides,
      layers.get_padding(self.padding, self.kernel_size),
      depthwise=True,
      name='depthwise',
    )(x, train)
    if self.squeezed:
      x = x * self._excitation(x)
    x = self.conv_bn(self.features, activation=None, name='project')(x, train)
    if self.strides == 1 and inputs.shape[-1] == self.features:
      x = layers.DropPath(self.drop_rate)(x, train) + inputs
    return x

  def _excitation(self, x: jax.Array) -> jax.Array:
    """Returns the factors of the channels: [B, 1, 1, C] in 0 to 1."""
    means = x.mean(axis=(1, 2), keepdims=True)
    squeeze = layers.Conv(self.squeezed, use_bias=True, name='squeeze')
    excite = layers.Conv(x.shape[-1], use_bias=True, name='excite')
    return self.gate(excite(self.squeeze_activation(squeeze(means))))
