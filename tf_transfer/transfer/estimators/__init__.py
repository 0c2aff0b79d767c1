"""Estimates how well a network transfers, without the full fit.

Each estimator computes a number from the features of labeled images, or from
what the network's own head says of them; larger is better. None of them reads
the test split.

results = estimators.estimate_all(estimators.Examples(features, labels, 10))
"""

from tf_transfer.transfer.estimators.examples import Estimate as Estimate
from tf_transfer.transfer.estimators.examples import Examples as Examples
from tf_transfer.transfer.estimators.table import ESTIMATORS as ESTIMATORS
from tf_transfer.transfer.estimators.table import Estimator as Estimator
from tf_transfer.transfer.estimators.table import estimate_all as estimate_all
