"""Evaluates the trials of a search on a split, in each view."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_transfer import datasets, errors
from tf_transfer.transfer import metrics
from tf_transfer.transfer import result as result_lib
from tf_transfer.transfer.training import predictions
from tf_transfer.transfer.training.search_spec import Search

# Takes a trial's position, the view, its `metrics.Measurement` as a dict, and
# the labels [V] or [V, C] and logits [V, C] of val.
Offer = Callable[[int, str, Mapping[str, Any], np.ndarray, np.ndarray], None]


class Evaluator:
  """Predicts with the variables of trials; compiles the prediction once."""

  def __init__(self, search: Search):
    self._search = search
    self._predict = predictions.compile_predict(
      search.build_network({}), search.mesh
    )

  def predict(
    self, variables: Sequence[Any], split: datasets.Split, view: str
  ) -> tuple[list[np.ndarray], np.ndarray]:
    """Predicts the logits of the examples of a split.

    Args:
      variables: of each trial.
      split: the examples.
      view: one of `predictions.VIEWS`.

    Returns:
      Logits [N, C] of each trial; and [N] the examples' positions in the
      split.
    """
    search = self._search
    return predictions.predict_logits(
      self._predict,
      search.net.contract,
      variables,
      split,
      view,
      search.mesh,
      batch_size=search.config.batch_size,
      corrupt=search.corrupt,
      description=f'{search.description}: {split.name}, {view}',
    )

  def evaluate_on_val(
    self, variables: Sequence[Any], offer: Offer | None = None
  ) -> list[dict[str, dict[str, Any]]]:
    """Measures the metric on val of each trial by view.

    Args:
      variables: of each trial; None where it diverged.
      offer: is shown the logits of each trial in each view; None shows them to
        nobody.

    Returns:
      For each trial a `metrics.Measurement` as a dict by view; empty where it
      diverged.

    Raises:
      InputError: the metric is not defined on val.
    """
    dataset = self._search.dataset
    val = dataset.splits['val']
    by_trial = [{} for _ in variables]
    remaining = [n for n, values in enumerate(variables) if values is not None]
    for view in predictions.VIEWS if remaining else ():
      logits_by_trial, positions = self.predict(
        [variables[n] for n in remaining], val, view
      )
      labels = val.labels[positions]
      for number, logits in zip(remaining, logits_by_trial, strict=True):
        measurement = metrics.measure(
          dataset.metric, labels, result_lib.predictions(dataset, logits)
        )
        if math.isnan(measurement.value):
          raise errors.InputError(
            f'{dataset.name}: {dataset.metric} on val is not defined, which '
            'happens to some metrics where val has a class without examples'
          )
        by_trial[number][view] = dataclasses.asdict(measurement)
        if offer is not None:
          offer(number, view, by_trial[number][view], labels, logits)
    return by_trial
