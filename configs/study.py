"""All networks on all datasets: the paper's figure 2, with what you have.

  python -m tf_transfer.main --config=study --workdir=runs/study

Changes of configs/base.py: `networks` and `datasets` are 'all'.

Networks are those whose weights are there, as files in weights_dir
(WORKDIR/weights) or with the packages of the extra `quickstart`; datasets are
digits and those whose files are in data.dir. --config.networks and
--config.datasets name others: "('all','my.safetensors')",
"('all','folder:PATH')". The job first prints what it will run, what is done,
what cannot be run and why, and how long it may take; --config.only_plan=True
ends it there.

A cell that fails is listed, also in failures.jsonl beside the ledger, and stops
no other cell; the exit code is then 1. The job may be killed at any moment: the
same command resumes it, and tries again what failed.

On N machines that share the workdir, --config.part=1/N to N/N each run a part
(Slurm: --config.part=$((SLURM_ARRAY_TASK_ID+1))/N); the same command without it
joins them. Where the machines share no disk, --config=merge does.

Expect: with the quickstart packages alone, the table of configs/quickstart.py.
"""

import ml_collections

from tf_transfer.configs import (
  base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of a study of everything that is there."""
  config = base.get_config()
  config.networks = ('all',)
  config.datasets = ('all',)
  # The paper's other settings, 'fine_tuned' and 'random_init', take days on a
  # GPU for most networks; cells that train run last.
  config.settings = ('logistic_regression',)
  return config
