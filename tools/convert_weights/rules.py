"""Renames the variables of a checkpoint to the paths of our networks.

A rule has a pattern of names, the path of the variables that match, and the
transform of their layout. Everything that does not fit is collected, so that
one error can list it. Sources of one kind (PyTorch, TF-Slim, Keras) name the
variables of a layer alike, so the modules of the architectures name the layers
only.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Rule:
  """Variables whose whole name matches `pattern` go to `path`.

  Attributes:
    pattern: regular expression.
    path: in the network, with the pattern's groups as \\1, \\2; None drops
      the variable.
    transform: from the source's layout of the array to Flax's; raises a
      ValueError where the array is none that the rule is for.
    subtract: whether the variable is to be subtracted from the one at `path`,
      as a convolution's bias from the mean of the batch norm behind it.
  """

  pattern: str
  path: str | None
  transform: Callable[[np.ndarray], np.ndarray] = np.asarray
  subtract: bool = False


@dataclasses.dataclass(frozen=True)
class Layer:
  """A convolution and its batch norm, as a source names them.

  Attributes:
    conv: name of the convolution.
    bn: name of the batch norm.
    path: of the layer in the backbone.
  """

  conv: str
  bn: str
  path: str


def torch_kernel(array: np.ndarray) -> np.ndarray:
  """Transposes [out, in, rows, columns] to [rows, columns, in, out]."""
  return array.transpose(2, 3, 1, 0)


def depthwise_kernel(array: np.ndarray) -> np.ndarray:
  """Transposes [rows, columns, channels, 1] to [rows, columns, 1, channels]."""
  return array.transpose(0, 1, 3, 2)


def matrix(array: np.ndarray) -> np.ndarray:
  """Returns [in, out] of that, or of a 1×1 convolution [1, 1, in, out]."""
  if array.ndim == 4 and array.shape[:2] == (1, 1):
    return array[0, 0]
  return np.asarray(array)


def _batch_norm(
  name: str, path: str, arrays: tuple[str, str, str, str]
) -> list[Rule]:
  """Makes the rules of a batch norm.

  Args:
    name: its name.
    path: in the backbone.
    arrays: what follows the name for scale, bias, mean and variance.
  """
  paths = (
    f'params/backbone/{path}/scale',
    f'params/backbone/{path}/bias',
    f'batch_stats/backbone/{path}/mean',
    f'batch_stats/backbone/{path}/var',
  )
  return [
    Rule(re.escape(name + array), array_path)
    for array, array_path in zip(arrays, paths, strict=True)
  ]


def torch_batch_norm(name: str, path: str) -> list[Rule]:
  """Makes the rules of PyTorch's batch norm; its counter is dropped."""
  arrays = ('.weight', '.bias', '.running_mean', '.running_var')
  return [
    *_batch_norm(name, path, arrays),
    *drop(re.escape(f'{name}.num_batches_tracked')),
  ]


def torch_conv(name: str, path: str) -> Rule:
  """Makes the rule of PyTorch's kernel of a convolution without batch norm."""
  return Rule(
    rf'{re.escape(name)}\.weight',
    f'params/backbone/{path}/kernel',
    torch_kernel,
  )


def bias(name: str, path: str) -> Rule:
  """Makes the rule of a bias that stays a bias."""
  return Rule(re.escape(name), path)


def tf_conv(name: str, path: str) -> Rule:
  """Makes the rule of Keras's kernel of a convolution without batch norm."""
  return Rule(rf'{re.escape(name)}/kernel', f'params/backbone/{path}/kernel')


def tf_batch_norm(name: str, path: str) -> list[Rule]:
  """Makes the rules of TensorFlow's batch norm; there may be no gamma."""
  arrays = ('/gamma', '/beta', '/moving_mean', '/moving_variance')
  return _batch_norm(name, path, arrays)


def _folded_bias(pattern: str, path: str) -> Rule:
  """Makes the rule of a bias ahead of batch norm: the mean absorbs it."""
  return Rule(pattern, f'batch_stats/backbone/{path}/bn/mean', subtract=True)


def torch_head(name: str) -> tuple[Rule, ...]:
  """Makes the rules of PyTorch's linear layer for the logits."""
  name = re.escape(name)
  return (
    Rule(rf'{name}\.weight', 'params/head/kernel', np.transpose),
    Rule(rf'{name}\.bias', 'params/head/bias'),
  )


def torch(layers: Iterable[Layer], head: str) -> tuple[Rule, ...]:
  """Makes the rules of a PyTorch state dict: its layers and linear head."""
  rules = []
  for layer in layers:
    conv = re.escape(layer.conv)
    kernel = f'params/backbone/{layer.path}/conv/kernel'
    rules.append(Rule(rf'{conv}\.weight', kernel, torch_kernel))
    rules.append(_folded_bias(rf'{conv}\.bias', layer.path))
    rules += torch_batch_norm(layer.bn, f'{layer.path}/bn')
  return (*rules, *torch_head(head))


def slim(layers: Iterable[tuple[str, str]], head: str) -> tuple[Rule, ...]:
  """Makes the rules of a TF-Slim checkpoint.

  Args:
    layers: scope and path of each; batch norm is in its convolution's scope.
    head: scope of the logits.
  """
  rules = []
  for scope, path in layers:
    name, kernel = re.escape(scope), f'params/backbone/{path}/conv/kernel'
    rules += [
      Rule(rf'{name}/weights', kernel),
      Rule(rf'{name}/depthwise_weights', kernel, depthwise_kernel),
      *tf_batch_norm(f'{scope}/BatchNorm', f'{path}/bn'),
    ]
  return (*rules, *slim_head(head))


def slim_head(scope: str) -> tuple[Rule, ...]:
  """Makes the rules of TF-Slim's logits, dense or a 1×1 convolution."""
  scope = re.escape(scope)
  return (
    Rule(rf'{scope}/weights', 'params/head/kernel', matrix),
    Rule(rf'{scope}/biases', 'params/head/bias'),
  )


def keras(layers: Iterable[Layer], head: str) -> tuple[Rule, ...]:
  """Makes the rules of a Keras file: its layers and its head."""
  rules = []
  for layer in layers:
    conv = re.escape(layer.conv)
    kernel = f'params/backbone/{layer.path}/conv/kernel'
    rules += [
      Rule(rf'{conv}/kernel', kernel),
      Rule(rf'{conv}/depthwise_kernel', kernel, depthwise_kernel),
      _folded_bias(rf'{conv}/bias', layer.path),
      *tf_batch_norm(layer.bn, f'{layer.path}/bn'),
    ]
  return (*rules, *keras_head(head))


def keras_head(name: str) -> tuple[Rule, ...]:
  """Makes the rules of Keras's logits, dense or a 1×1 convolution."""
  name = re.escape(name)
  return (
    Rule(rf'{name}/kernel', 'params/head/kernel', matrix),
    Rule(rf'{name}/bias', 'params/head/bias'),
  )


def gate_conv(name: str, path: str, framework: str) -> tuple[Rule, Rule]:
  """Makes the rules of a 1×1 convolution with a bias and no batch norm.

  Args:
    name: its name.
    path: in the backbone.
    framework: 'torch' or 'keras'.
  """
  if framework == 'torch':
    kernel, bias_name = torch_conv(name, path), f'{name}.bias'
  else:
    kernel, bias_name = tf_conv(name, path), f'{name}/bias'
  return kernel, bias(bias_name, f'params/backbone/{path}/bias')


def drop(*patterns: str) -> tuple[Rule, ...]:
  """Makes rules that drop variables, as those of an auxiliary head."""
  return tuple(Rule(pattern, None) for pattern in patterns)


class Matcher:
  """Finds the rule of a name; looks literal patterns up in a dict."""

  def __init__(self, rules: Sequence[Rule]) -> None:
    self._literal = {rule.pattern: rule for rule in reversed(rules)}
    self._compiled = [
      (re.compile(rule.pattern), rule)
      for rule in rules
      # A pattern is literal if it is its own plain text, escaped.
      if re.escape(_unescape(rule.pattern)) != rule.pattern
    ]

  def find(self, name: str) -> tuple[Rule | None, str | None]:
    """Returns the first rule that matches, and the path that it gives."""
    rule = self._literal.get(re.escape(name))
    if rule is not None:
      return rule, rule.path
    for pattern, rule in self._compiled:
      match = pattern.fullmatch(name)
      if match:
        return rule, rule.path and match.expand(rule.path)
    return None, None


def _unescape(pattern: str) -> str:
  """Removes the backslashes that escape characters."""
  return re.sub(r'\\(.)', r'\1', pattern)


def apply_rules(
  tensors: Mapping[str, np.ndarray], rules: Sequence[Rule]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Renames and transforms the variables of a checkpoint.

  Returns:
    The converted arrays by path, and a line for each problem.
  """
  converted, subtracted, problems = {}, {}, []
  matcher = Matcher(rules)
  for name, array in tensors.items():
    rule, path = matcher.find(name)
    if rule is None:
      problems.append(f'unknown variable {name} {array.shape}')
      continue
    target = subtracted if rule.subtract else converted
    if path in target:
      problems.append(f'{name} {array.shape}: a second variable for {path}')
    try:
      transformed = rule.transform(array)
    except ValueError as error:
      problems.append(f'{name} {array.shape}: {error}')
      continue
    if path is not None:
      target[path] = transformed
  for path, array in subtracted.items():
    if path not in converted or converted[path].shape != array.shape:
      problems.append(f'a bias {array.shape} without its {path}')
    else:
      converted[path] = converted[path] - array
  return converted, problems


def count_unknown(names: Iterable[str], rules: Sequence[Rule]) -> int:
  """Counts the names that no rule knows."""
  matcher = Matcher(rules)
  return sum(matcher.find(name)[0] is None for name in names)
