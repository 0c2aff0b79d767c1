"""The paper's three settings on a few examples of each class (figure 9).

  python -m tf_transfer.main --workdir=runs/few \\
      --config=few_examples:NETWORK,DATASET,COUNT

Job: study. Changes of configs/base.py: `settings` are all three;
`data.examples_per_class` is COUNT; batches, steps and learning rates of the two
settings that train are those for small data (section 7 of the protocol): 64
images, at least 1,000 steps or 100 epochs, a quarter of the rates for
fine-tuning; 16 images and a sixteenth for random initialization.

How long random initialization is trained is a choice of ours: at least 312,500
steps or 200 epochs. The paper's rule, as remembered, is 78,125 steps of 64
images or 200 epochs, and its learning rates are for batches of 16. Rates that
are proportional to the batch go with equal numbers of images, and 312,500
batches of 16 are the rule's 5,000,000 images, as many as 19,531 batches of 256
in the paper's main results. Fine-tuning's 1,000 steps would be 16,000 images;
the paper's own curve on all of Flowers is at 16 % after 38,912 images and at
93 % after 5,000,000.

--config.data.subset_seed=1, 2 ... in the same workdir are further draws; the
figure shows their standard error.

Expect: 56 trials for each of two settings, of 1,000 steps or more for
fine-tuning. Random initialization takes as long as at the paper's full size, on
a GPU days for most networks; --config.only_plan=True prints an estimate.
docs/fine_tuning.md shows after how many steps a small case no longer improves,
and --config.random_init.steps=N takes fewer. Where there are fewer images than
a batch has rows, an image appears several times in a batch, cropped anew each
time.
"""

import ml_collections

from tf_transfer import config_files, errors
from tf_transfer.configs import base

# Of each setting that trains: images of a batch, the divisor of its rates, the
# number of steps, and the number of epochs that count where they take more.
SMALL = {
  'fine_tuned': (64, 4, 1_000, 100),
  'random_init': (16, 16, 312_500, 200),
}


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
  for setting, (batch_size, divisor, steps, min_epochs) in SMALL.items():
    fields = config[setting]
    fields.batch_size = batch_size
    fields.steps = steps
    fields.min_epochs = min_epochs
    fields.learning_rate_min /= divisor
    fields.learning_rate_max /= divisor
  return config
