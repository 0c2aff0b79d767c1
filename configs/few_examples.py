"""The paper's three settings on a few examples of each class (figure 9).

  python -m tf_transfer.main --workdir=runs/few \\
      --config=configs/few_examples.py:NETWORK,DATASET,COUNT

COUNT images of each class are trained on; --config.data.subset_seed=1, 2 ...
in the same workdir are further draws, whose standard error the figure shows.
Batches, steps and learning rates are those for small data (section 7 of the
protocol): 64 images, at least 1,000 steps or 100 epochs, a quarter of the
rates for fine-tuning; 16 and a sixteenth for random initialization.

Expect: 56 trials for each of two settings, of 1,000 steps or more. Where there
are fewer images than a batch has rows, one comes several times, cropped anew.
"""

import ml_collections

from tf_transfer.configs import fine_tuned, logistic_regression, random_init

# Of each setting that trains: images of a batch, and what divides its rates.
SMALL = {'fine_tuned': (64, 4), 'random_init': (16, 16)}


def get_config(
  argument: str = 'efficientnet_lite0,digits,8',
) -> ml_collections.ConfigDict:
  """The config of three cells; `argument` is 'NETWORK,DATASET,COUNT'."""
  cell, _, count = argument.rpartition(',')
  config = logistic_regression.get_config(cell)
  config.settings = ('logistic_regression', *SMALL)
  config.data.examples_per_class = int(count)
  for name, fields in (
    ('fine_tuned', fine_tuned.fields()),
    ('random_init', random_init.fields()),
  ):
    batch_size, divisor = SMALL[name]
    fields.batch_size = batch_size
    fields.steps = 1000
    fields.min_epochs = 100
    fields.learning_rate_min /= divisor
    fields.learning_rate_max /= divisor
    config[name] = fields
  return config
