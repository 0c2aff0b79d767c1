"""Chooses the preconditioner of the next penalty by what the last one cost.

The choices are those of `preconditioner`: the Kronecker product alone, a number
of leading examples on top of it, or the factored Hessian. Costs are estimated
in float32 operations of a CPU, with factors that put what is bound by memory or
LAPACK in proportion. They decide about time and about nothing else.
"""

# Numbers of leading examples. The matrices built of them are square, at most
# 64 MiB each.
LEADING = (0, 1024, 2048, 4096)

# Weights up to which the Hessian may be factored. Half of it is held, at most
# 840 MB.
MAX_FACTORED_WEIGHTS = 20_480

# Evaluations that a penalty takes, about, with the right preconditioner.
FEWEST_EVALUATIONS = 10

# Penalties that a factor serves, at least.
PENALTIES_PER_FACTOR = 6


class PreconditionerSchedule:
  """Says which preconditioner to use for the next penalty.

  Attributes:
    num_leading: leading examples, 0 for none.
    factor_now: whether to factor the Hessian ahead of the next penalty, and use
      the factor from there on.
  """

  def __init__(
    self,
    num_examples: int,
    dim: int,
    num_classes: int,
    softmax: bool,
    may_factor: bool = True,
  ) -> None:
    """Starts with the Kronecker product alone.

    Args:
      num_examples: N.
      dim: R.
      num_classes: C.
      softmax: whether the classes exclude each other.
      may_factor: False where products are in float64, for which the factor is
        not exact enough.
    """
    self._num_examples, self._dim = num_examples, dim
    self._num_classes = num_classes
    self._num_weights = num_classes * dim
    num_directions = num_examples * (2 if softmax else num_classes)
    self._choices = [number for number in LEADING if number <= num_directions]
    # With more weights than examples only the penalty keeps the weights finite,
    # and few examples make the Hessian: leading examples do better then.
    self._may_factor = (
      may_factor
      and softmax
      and self._num_weights <= min(num_examples, MAX_FACTORED_WEIGHTS)
    )
    self._factored = False
    self._wasted = 0.0
    self.num_leading = 0
    self.factor_now = False

  def update(self, num_evaluations: int) -> None:
    """Chooses for the next penalty, given the evaluations of the last one."""
    excess = max(num_evaluations - FEWEST_EVALUATIONS, 0)
    self._factored |= self.factor_now
    self.factor_now = False
    if self._factored:
      # A factor ages. It is renewed when that has cost as much as a new one.
      self._wasted += excess * self._evaluation_cost_factored()
      if self._wasted > self._factoring_cost():
        self.factor_now, self._wasted = True, 0.0
      return
    # As a rule, twice as many leading examples halve the evaluations beyond
    # those that every penalty takes. The next penalty shows whether they do.
    current = self._choices.index(self.num_leading)
    neighbors = range(max(current - 1, 0), min(current + 2, len(self._choices)))
    costs = {
      self._choices[i]: self._cost_leading(
        self._choices[i], FEWEST_EVALUATIONS + excess * 2.0 ** (current - i)
      )
      for i in neighbors
    }
    self.num_leading = min(costs, key=costs.get)
    if self._may_factor and self._cost_factored() < costs[self.num_leading]:
      self.factor_now, self.num_leading = True, 0

  def _product_cost(self) -> float:
    """Returns the cost of one product with the Hessian."""
    return 4.0 * self._num_examples * self._dim * (self._num_classes + 6)

  def _cost_leading(self, number: int, num_products: float) -> float:
    """Returns the cost of a penalty with leading examples."""
    evaluation = (
      self._product_cost() + 4 * number * self._num_weights + 8 * number**2
    )
    build = number**2 * self._dim + number * self._dim**2 + number**3
    search = 2e3 * self._num_examples * self._num_classes * (number > 0)
    return search + build + num_products * evaluation

  def _cost_factored(self) -> float:
    """Returns the cost of a penalty with a factor, its share included."""
    evaluations = 2 * FEWEST_EVALUATIONS * self._evaluation_cost_factored()
    return self._factoring_cost() / PENALTIES_PER_FACTOR + evaluations

  def _evaluation_cost_factored(self) -> float:
    """Returns the cost of a product preconditioned by the factor."""
    return self._product_cost() + 8.0 * self._num_weights**2

  def _factoring_cost(self) -> float:
    """Returns the cost of factoring the Hessian."""
    pairs = 8.0 * self._num_classes**2 * self._dim**3
    return pairs + self._num_weights**3 / 3
