"""Times the path of 45 penalties beside scikit-learn's warm-started L-BFGS.

  python -m benchmarks.logistic --size digits
  python -m benchmarks.logistic --size pets --peer_threads 1 2
  python -m benchmarks.logistic --size 20000x1280x100 --no_peer
  python -m benchmarks.logistic --size fashion_mnist@64 --weights FILE
  python -m benchmarks.logistic --size food101 --memory

DATASET@PIXELS stands for real features: those of a weights file's network on
the dataset's train split at that image size.

Prints a line per solver and run: seconds, evaluations, the largest and the
median gradient norm (largest absolute entry, summed objective), and how many
of the penalties ended within the tolerance of the optimum. For ours that is
what the certificate proves; a peer is judged against our certified lower bound.

scikit-learn runs as ssl-transfer calls it (L2, warm start, max_iter 100, the
default tolerance, from small C to large). Its loss is threaded with OpenMP,
whose threads spin: on a busy machine one thread can be many times faster than
two, so time it with each number of threads and compare with the best.
`--until_converged` lowers its tolerance and lifts its limit instead.

`--memory` fits once and prints the largest resident size during the fit, less
what was resident ahead of it but with the features, as a multiple of the
features (Linux).
"""

import argparse
import dataclasses
import pathlib
import re
import tempfile
import time
import warnings

import jax
import numpy as np
from scipy import special
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tf_transfer import datasets, networks
from tf_transfer.configs import base
from tf_transfer.runtime import devices
from tf_transfer.transfer.fixed_features import feature_cache
from tf_transfer.transfer.fixed_features import features as features_lib
from tf_transfer.transfer.logistic import path as path_lib

SIZES = {
  'digits': None,  # Real pixels through 1,024 random ReLUs: 1437x1024x10.
  'flowers': (2040, 2048, 102),
  'pets': (3680, 2048, 37),
  'cifar100_fifth': (10000, 2048, 100),
  'cifar100': (50000, 2048, 100),
  'sun397': (19850, 4032, 397),
  'food101': (75750, 2048, 101),
}


def digits() -> tuple[np.ndarray, np.ndarray]:
  """Returns digits' features, random ReLUs of real pixels, and labels."""
  rng = np.random.default_rng(0)
  pixels, labels = load_digits(return_X_y=True)
  order = rng.permutation(len(labels))[:1437]
  layer = rng.normal(size=(64, 1024)) / 8
  features = np.maximum(pixels[order] / 16 @ layer + rng.normal(size=1024), 0)
  return features.astype(np.float32), labels[order]


def synthetic(
  num_examples: int, dim: int, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
  """Draws features of classes around random means, and labels.

  Features are not negative; their covariance's eigenvalues fall as 1/j.
  """
  rng = np.random.default_rng(0)
  labels = rng.integers(0, num_classes, num_examples)
  scale = np.arange(1, dim + 1) ** -0.5
  means = 0.7 * rng.normal(size=(num_classes, dim)) * (np.arange(dim) < 200)
  rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0] * scale[:, None]
  features = devices.empty_aligned((num_examples, dim), np.float32)
  num_blocks = max(1, num_examples // 4096)
  for block in np.array_split(np.arange(num_examples), num_blocks):
    noise = rng.normal(size=(len(block), dim))
    latent = (means[labels[block]] + noise) @ rotation
    features[block] = np.maximum(0.1 + 2 * latent, 0)
  return features, labels


def real(
  dataset: str, pixels: int, weights: str
) -> tuple[np.ndarray, np.ndarray]:
  """Computes features of a dataset's train split; returns labels too.

  Args:
    dataset: its name.
    pixels: the image size.
    weights: path of the network's weights file.
  """
  net = networks.load(weights)
  net = dataclasses.replace(
    net,
    header=dataclasses.replace(
      net.header,
      contract=dataclasses.replace(net.contract, image_size=pixels),
    ),
  )
  cache = pathlib.Path(tempfile.gettempdir()) / 'tf_transfer_benchmark'
  extract = features_lib.Extractor(
    net, feature_cache.FeatureCache(cache, 2e9), batch_size=64
  )
  split = datasets.open(dataset).splits['train']
  out = devices.empty_aligned((len(split), extract.feature_dim), np.float32)
  features = extract(split, f'{dataset} train', out=out)
  return features.values, features.labels


def load(size: str, weights: str = '') -> tuple[np.ndarray, np.ndarray]:
  """Returns features and labels for a value of --size."""
  if size == 'digits':
    return digits()
  if re.fullmatch(r'\w+@\d+', size):
    dataset, pixels = size.split('@')
    return real(dataset, int(pixels), weights)
  if size in SIZES:
    return synthetic(*SIZES[size])
  if not re.fullmatch(r'\d+x\d+x\d+', size):
    raise SystemExit(
      f'--size {size}: known are {", ".join(SIZES)}, NxDxC, DATASET@PIXELS'
    )
  return synthetic(*map(int, size.split('x')))


def matmul_peak(dtype: str, length: int = 2048) -> float:
  """Measures floating-point operations per second of a matrix product."""
  with jax.enable_x64(True):
    matrix = jax.numpy.ones((length, length), dtype)
    product = jax.jit(lambda a: a @ a)
    product(matrix).block_until_ready()
    best = np.inf
    for _ in range(5):
      start = time.perf_counter()
      product(matrix).block_until_ready()
      best = min(best, time.perf_counter() - start)
  return 2 * length**3 / best


def peer_path(
  features: np.ndarray,
  labels: np.ndarray,
  threads: int,
  until_converged: bool,
) -> tuple[float, list[tuple[np.ndarray, np.ndarray, int]]]:
  """Fits scikit-learn's path, from small C to large.

  Returns:
    Seconds, and for each of PENALTIES weights [D, C], bias [C] and iterations.
  """
  model = LogisticRegression(
    solver='lbfgs',
    warm_start=True,
    max_iter=100_000 if until_converged else 100,
    tol=1e-9 if until_converged else 1e-4,
  )
  solutions = []
  start = time.perf_counter()
  with threadpool_limits(threads), warnings.catch_warnings():
    warnings.simplefilter('ignore', ConvergenceWarning)
    for penalty in path_lib.PENALTIES[::-1]:
      model.C = 1 / penalty
      model.fit(features, labels)
      iterations = int(model.n_iter_[0])
      solutions.append(
        (model.coef_.T.copy(), model.intercept_.copy(), iterations)
      )
  return time.perf_counter() - start, solutions[::-1]


def evaluate(
  features: np.ndarray,
  labels: np.ndarray,
  weights: np.ndarray,
  bias: np.ndarray,
  penalty: float,
) -> tuple[float, float]:
  """Computes the objective and its gradient's largest entry in float64."""
  features, weights = features.astype(np.float64), weights.astype(np.float64)
  rows = np.arange(len(labels))
  logits = features @ weights + bias
  margins = logits - logits[rows, labels][:, None]
  loss = np.sum(special.logsumexp(margins, axis=1))
  residual = special.softmax(margins, axis=1)
  residual[rows, labels] -= 1
  slope = features.T @ residual + penalty * weights
  largest = max(np.abs(slope).max(), np.abs(residual.sum(0)).max())
  return loss + penalty / 2 * np.sum(weights**2), largest


def print_line(
  name: str,
  seconds: float,
  evaluations: int,
  norms: np.ndarray,
  converged: int,
  note: str = '',
) -> None:
  """Prints the line of one run of a solver.

  Args:
    name: of the solver.
    seconds: that the path took.
    evaluations: over all penalties.
    norms: [P], of the gradients.
    converged: number of penalties within the tolerance of the optimum.
    note: put at the end.
  """
  print(
    f'{name:<34}{seconds:>9.2f}{evaluations:>8}{np.max(norms):>10.1e}'
    f'{np.median(norms):>10.1e}{converged:>6}/{len(norms)}  {note}',
    flush=True,
  )


def time_ours(
  features: np.ndarray,
  labels: np.ndarray,
  tolerance: float,
  peaks: dict[str, float],
  repeats: int,
) -> tuple[path_lib.Path, float]:
  """Times our path, the first time with compiling.

  Args:
    features: [N, D].
    labels: [N].
    tolerance: see `path.fit_path`.
    peaks: operations per second of a matrix product, by type.
    repeats: runs after the first.

  Returns:
    The path and the least seconds.
  """
  best = np.inf
  for number in range(repeats + 1):
    start = time.perf_counter()
    path = path_lib.fit_path(features, labels, tolerance=tolerance)
    seconds = time.perf_counter() - start
    # Compiled code is kept per shape: only the first run is slower for it.
    name = 'ours, compiling included' if number == 0 else 'ours'
    best = min(best, seconds)
    classes = path.weights.shape[-1]
    work = 4.0 * features.size * classes * path.evaluations.sum()
    share = ', '.join(
      f'{work / seconds / peak:.0%} of {kind}' for kind, peak in peaks.items()
    )
    print_line(
      name,
      seconds,
      path.evaluations.sum(),
      path.gradient_norm,
      path.converged.sum(),
      f'products at {share} peak',
    )
  return path, best


def resident_bytes(key: str) -> int:
  """Returns what is resident now ('VmRSS') or was at most ('VmHWM')."""
  text = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(rf'{key}:\s+(\d+) kB', text).group(1))


def print_memory(
  features: np.ndarray, labels: np.ndarray, tolerance: float
) -> None:
  """Fits once and prints how much memory that took."""
  # Compiling takes memory too, whatever the size; a small fit loads XLA.
  path_lib.fit_path(features[:64, :8], np.arange(64) % 2, [1.0])
  before = resident_bytes('VmRSS')
  pathlib.Path('/proc/self/clear_refs').write_text('5')
  path = path_lib.fit_path(features, labels, tolerance=tolerance)
  largest = resident_bytes('VmHWM') - before + features.nbytes
  print(
    f'features {features.nbytes / 1e6:,.0f} MB, at most '
    f'{largest / 1e6:,.0f} MB with them in the fit: '
    f'{largest / features.nbytes:.2f} x; '
    f'{path.converged.sum()} of {len(path.converged)} converged',
    flush=True,
  )


def time_peers(
  features: np.ndarray,
  labels: np.ndarray,
  path: path_lib.Path,
  best: float,
  flags: argparse.Namespace,
) -> None:
  """Times scikit-learn in each way asked for, and compares with ours.

  Args:
    features: [N, D].
    labels: [N].
    path: ours, with its certificates.
    best: our seconds.
    flags: of the command line.
  """
  for threads in flags.peer_threads:
    for dtype in flags.peer_dtypes:
      seconds, solutions = peer_path(
        features.astype(dtype), labels, threads, flags.until_converged
      )
      evaluated = [
        evaluate(features, labels, weights, bias, penalty)
        for (weights, bias, _), penalty in zip(
          solutions, path.penalties, strict=True
        )
      ]
      objectives, norms = np.transpose(evaluated)
      excess = objectives - (path.objective - path.bound)
      print_line(
        f'scikit-learn, {threads} threads, {dtype}',
        seconds,
        sum(iterations for *_, iterations in solutions),
        norms,
        int((excess <= flags.tolerance * path.objective).sum()),
        f'{seconds / best:.1f} x our seconds',
      )


def main() -> None:
  """Runs the benchmark for each --size."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--size', nargs='+', default=['digits'])
  parser.add_argument('--repeats', type=int, default=2)
  parser.add_argument(
    '--tolerance',
    type=float,
    default=base.get_config().logistic_regression.tolerance,
    help='ours; by default that with which the config chooses the penalty',
  )
  parser.add_argument('--no_peer', action='store_true')
  parser.add_argument('--peer_threads', type=int, nargs='+', default=[1, 2])
  parser.add_argument(
    '--peer_dtypes', nargs='+', default=['float32', 'float64']
  )
  parser.add_argument('--until_converged', action='store_true')
  parser.add_argument('--weights', default='', help='for DATASET@PIXELS')
  parser.add_argument('--memory', action='store_true')
  flags = parser.parse_args()
  peaks = {kind: matmul_peak(kind) for kind in ('float32', 'float64')}
  for kind, peak in peaks.items():
    print(f'{kind} matrix product: {peak / 1e9:.0f} Gflop/s')
  for size in flags.size:
    features, labels = load(size, flags.weights)
    print(f'\n{size}: {features.shape}, {labels.max() + 1} classes')
    if flags.memory:
      print_memory(features, labels, flags.tolerance)
      continue
    print(
      f'{"":<34}{"seconds":>9}{"evals":>8}{"max |g|":>10}{"median":>10}'
      f'{f"within {flags.tolerance:g}":>13}'
    )
    path, best = time_ours(
      features, labels, flags.tolerance, peaks, flags.repeats
    )
    if not flags.no_peer:
      time_peers(features, labels, path, best, flags)


if __name__ == '__main__':
  main()
