"""All networks on all datasets: the paper's figure 2, with what you have.

  python -m tf_transfer.main --config=configs/study.py --workdir=runs/study

Networks are those that there are weights of, as files in weights_dir
(WORKDIR/weights) or with the packages of the extra `quickstart`; datasets are
those whose files are in data.dir, and digits. `--config.networks` and
`--config.datasets` name others: "('all','my.safetensors')", "('all',
'folder:PATH')". First it says what will be run, what is done, what cannot be
run and why, and how long it may take; --config.only_plan=True leaves it at
that.

What fails is listed, and beside the ledger in failures.jsonl, and keeps nothing
else from being run; the exit code is 1 then. Kill it at any moment: the same
command goes on, and tries again what failed.

On N machines that share the workdir, --config.part=1/N to N/N each run a part
(Slurm: --config.part=$((SLURM_ARRAY_TASK_ID+1))/N), and the same command
without it puts them together. Where they share nothing, configs/merge.py does.

Expect: with the quickstart packages alone, the table of configs/quickstart.py.
"""

import ml_collections

from tf_transfer.configs import fine_tuned, logistic_regression, random_init


def get_config() -> ml_collections.ConfigDict:
  """The config of a study; the fields are those of logistic_regression.py."""
  config = logistic_regression.get_config()
  config.networks = ('all',)
  config.datasets = ('all',)
  # The others of the paper, 'fine_tuned' and 'random_init', take days on a GPU
  # for most networks; cells that train are run last.
  config.settings = ('logistic_regression',)
  config.fine_tuned = fine_tuned.fields()
  config.random_init = random_init.fields()
  return config
