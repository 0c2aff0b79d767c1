"""Records the losses and evaluations of a trial, and when it diverges."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# Losses are averaged over windows: this share of the steps.
_NUM_WINDOWS = 50
_SHORTEST_WINDOW = 5  # steps
# From this window on, a tenth of the way, a mean loss this many times that of
# the first step says that the trial has diverged. A trial that learns slowly or
# late stays about where it started, now above and now below.
_FIRST_JUDGED_WINDOW = 5
_DIVERGED_RATIO = 1.5


@dataclasses.dataclass
class TrialHistory:
  """Records what happened to a trial so far.

  Checkpoints hold these fields under these names.

  Attributes:
    start: the loss of the first step; None before the first window ends.
    losses: the mean loss of each window.
    measured: step and value of each measurement on the way.
    diverged: the step after which it was found to have diverged, or None.
    evaluations: in order, each with `step`, the steps done, and `views`, the
      metric on val by view.
  """

  start: float | None = None
  losses: list[float] = dataclasses.field(default_factory=list)
  measured: list[tuple[int, float]] = dataclasses.field(default_factory=list)
  diverged: int | None = None
  evaluations: list[dict[str, Any]] = dataclasses.field(default_factory=list)

  def add_window(self, losses: Sequence[float], step: int) -> None:
    """Adds the losses of a window that ends with `step`."""
    if self.start is None:
      self.start = losses[0]
    mean = float(np.mean(losses))
    is_judged = len(self.losses) >= _FIRST_JUDGED_WINDOW
    self.losses.append(mean)
    if not math.isfinite(mean) or (
      is_judged and mean > _DIVERGED_RATIO * self.start
    ):
      self.diverged = step


def window_length(steps: int) -> int:
  """Returns the length of a window in a training of so many steps."""
  return max(_SHORTEST_WINDOW, steps // _NUM_WINDOWS)


def summarize(histories: Sequence[TrialHistory]) -> str:
  """Says the best current loss and how many trials diverged."""
  losses = [h.losses[-1] for h in histories if h.diverged is None]
  text = f'loss {min(losses):.3f}' if losses else 'none left'
  num_diverged = len(histories) - len(losses)
  return f'{text}, {num_diverged} diverged' if num_diverged else text
