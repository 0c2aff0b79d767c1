"""The paper's three settings on a few examples of each class (figure 9).

  python -m tf_transfer.main --workdir=runs/few \\
      --config=few_examples:NETWORK,DATASET,COUNT

Job: study. Changes of configs/base.py: `settings` are all three;
`data.examples_per_class` is COUNT; batches, steps and learning rates of the two
settings that train are those for small data (section 7 of the protocol): 64
images, at least 1,000 steps or 100 epochs, a quarter of the rates for
fine-tuning; 16 images and a sixteenth for random initialization.

--config.data.subset_seed=1, 2 ... in the same workdir are further draws; the
figure shows their standard error.

Expect: 56 trials for each of two settings, of 1,000 steps or more. Where there
are fewer images than a batch has rows, an image appears several times in a
batch, cropped anew each time.
"""

import ml_collections

from tf_transfer import config_files, errors
from tf_transfer.configs import base

# Of each setting that trains: images of a batch, and the divisor of its rates.
SMALL = {'fine_tuned': (64, 4), 'random_init': (16, 16)}


def get_config(
  argument: str = f'{base.DEFAULT_CELL},8',
) -> ml_collections.ConfigDict:
  """Returns the config of three cells.

  Args:
    argument: 'NETWORK,DATASET,COUNT'.

  Raises:
    InputError: a part is missing or too much, or COUNT is no positive integer.
  """
  expected = 'NETWORK,DATASET,COUNT'
  network, dataset, count = config_files.parse_argument(argument, expected)
  if not (count.isdecimal() and len(count) < 10 and int(count) >= 1):
    raise errors.InputError(
      f'argument {argument!r}: COUNT is {count!r} and must be a positive '
      f'integer; expected {expected}'
    )
  config = base.get_config(f'{network},{dataset}')
  config.settings = ('logistic_regression', *SMALL)
  config.data.examples_per_class = int(count)
  for setting, (batch_size, divisor) in SMALL.items():
    fields = config[setting]
    fields.batch_size = batch_size
    fields.steps = 1000
    fields.min_epochs = 100
    fields.learning_rate_min /= divisor
    fields.learning_rate_max /= divisor
  return config
