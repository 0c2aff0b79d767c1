"""Fine-tuning one network on one dataset, at the paper's grid.

  python -m tf_transfer.main --workdir=runs/mine \\
      --config=fine_tuned:NETWORK,DATASET

Job: study. Changes `settings` of configs/base.py to ('fine_tuned',).

NETWORK and DATASET are those of configs/presets/logistic_regression.py. 56
trials of 20,000 steps of 256 images, and one more on train + val: days on a GPU
for most networks. What is estimated to take more than a day needs
--config.allow_long=True. The time is measured and printed before the first
step.
SIGTERM writes a checkpoint and ends the job with exit code 75; the same command
resumes it.

Expect: with two learning rates, two weight decays and 100 steps of 32 images,
efficientnet_lite0,digits takes a CPU the better part of an hour. For a dataset
as small as this, the paper (figure 9) uses
--config.fine_tuned.min_epochs=100, batch_size=64 and a quarter of the learning
rates.
"""

import ml_collections

from tf_transfer.configs import base


def get_config(argument: str = base.DEFAULT_CELL) -> ml_collections.ConfigDict:
  """Returns the config of one cell; `argument` is 'NETWORK,DATASET'."""
  config = base.get_config(argument)
  config.settings = ('fine_tuned',)
  return config
