"""Which preconditioner of `logistic_preconditioner` a penalty is worth.

It is decided from penalty to penalty, by what the last one took. Costs are in
float32 operations of a CPU, counted so that what is bound by memory or LAPACK
is in proportion. They decide on nothing but the time.
"""

# Of leading examples. What is built of them is square, for the most 64 MiB.
LEADING = (0, 1024, 2048, 4096)

# Weights of which the whole Hessian may be factored: half of it is held, for
# the most 840 MB.
MOST_FACTORED = 20_480

# About what a penalty takes where the preconditioner is right.
FEWEST_EVALUATIONS = 10

# Penalties that a factor serves, at the least.
SERVED = 6


class Plan:
  """What to use for the next penalty.

  Attributes:
    number: leading examples, 0 for none.
    factor_now: whether to factor the whole Hessian ahead of it, and use that
      from there on.
  """

  def __init__(self, count: int, dim: int, classes: int, softmax: bool):
    """Of examples [count, dim], and whether classes exclude each other."""
    self._count, self._dim, self._classes = count, dim, classes
    self._weights = classes * dim
    directions = count * (2 if softmax else classes)
    self._numbers = [number for number in LEADING if number <= directions]
    # With more weights than examples, the penalty alone keeps them finite,
    # and few examples make the Hessian.
    self._may_factor = softmax and self._weights <= min(count, MOST_FACTORED)
    self._factored = False
    self._wasted = 0.0
    self.number = 0
    self.factor_now = False

  def took(self, evaluations: int) -> None:
    """Takes in what the last penalty took, and plans the next."""
    beyond = max(evaluations - FEWEST_EVALUATIONS, 0)
    self._factored |= self.factor_now
    self.factor_now = False
    if self._factored:
      # It ages. When that has cost as much as a new one, it is time for that.
      self._wasted += beyond * self._pass_factored()
      if self._wasted > self._factoring():
        self.factor_now, self._wasted = True, 0.0
      return
    # Twice as many leading examples halve the evaluations beyond those that
    # every penalty takes, as a rule; whether they do, the next penalty shows.
    place = self._numbers.index(self.number)
    near = range(max(place - 1, 0), min(place + 2, len(self._numbers)))
    costs = {
      self._numbers[i]: self._with_leading(
        self._numbers[i], FEWEST_EVALUATIONS + beyond * 2.0 ** (place - i)
      )
      for i in near
    }
    self.number = min(costs, key=costs.get)
    if self._may_factor and self._with_factor() < costs[self.number]:
      self.factor_now, self.number = True, 0

  def _product(self) -> float:
    return 4.0 * self._count * self._dim * (self._classes + 6)

  def _with_leading(self, number: int, products: float) -> float:
    each = self._product() + 4 * number * self._weights + 8 * number**2
    build = number**2 * self._dim + number * self._dim**2 + number**3
    choosing = 2e3 * self._count * self._classes * (number > 0)
    return choosing + build + products * each

  def _with_factor(self) -> float:
    passes = 2 * FEWEST_EVALUATIONS * self._pass_factored()
    return self._factoring() / SERVED + passes

  def _pass_factored(self) -> float:
    return self._product() + 8.0 * self._weights**2

  def _factoring(self) -> float:
    pairs = 8.0 * self._classes**2 * self._dim**3
    return pairs + self._weights**3 / 3
