"""Random arrays, and functions of them that are compiled quickly."""

import jax
import jax.numpy as jnp
import numpy as np


def random(shape, seed=0):
  """Draws float32 numbers of a normal distribution."""
  return jnp.asarray(
    np.random.default_rng(seed).normal(size=shape).astype(np.float32)
  )


def run(function, *arguments):
  """Compiles a function, which takes longer than to run it, and runs it."""
  options = {'xla_backend_optimization_level': 0}
  return jax.jit(function, compiler_options=options)(*arguments)


def gradients(function, *arguments):
  """Returns the gradients of a sum in which each value has another weight."""

  def loss(*arguments):
    value = function(*arguments)
    return jnp.sum(value * jnp.cos(jnp.arange(value.size)).reshape(value.shape))

  return jax.grad(loss, argnums=tuple(range(len(arguments))))(*arguments)


def differentiate(functions, *arguments):
  """Returns value and gradients of each function, all by one program."""

  def evaluate(*arguments):
    return [(f(*arguments), gradients(f, *arguments)) for f in functions]

  return run(evaluate, *arguments)
