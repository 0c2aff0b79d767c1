import numpy as np
import pytest
import scipy.stats

from tf_transfer.study.analysis import paired_tests, power, run_tests


def power_by_simulation(difference, discordance, num_examples, repetitions):
  """How often McNemar's exact test finds a difference, at 5 %."""
  generator = np.random.default_rng(0)
  first_only = (discordance + difference) / 2
  second_only = (discordance - difference) / 2
  counts = generator.multinomial(
    num_examples,
    [first_only, second_only, 1 - discordance],
    size=repetitions,
  )
  pairs, where = np.unique(counts[:, :2], axis=0, return_inverse=True)
  p = [
    scipy.stats.binomtest(a, a + b).pvalue if a + b else 1.0
    for a, b in pairs.tolist()
  ]
  return np.mean(np.array(p)[where] <= 0.05)


@pytest.mark.parametrize(
  ('discordance', 'num_examples'), [(0.1, 500), (0.05, 3669), (0.3, 200)]
)
def test_mcnemar_finds_its_smallest_difference_in_80_percent(
  discordance, num_examples
):
  smallest = power.mcnemar(discordance, num_examples)
  simulated = power_by_simulation(smallest, discordance, num_examples, 3000)
  # Three standard errors of 3,000 draws are 2.2 %.
  assert simulated == pytest.approx(0.8, abs=0.022)
  # The normal formula is near, and ignores that the test is exact.
  z = scipy.stats.norm.ppf([0.975, 0.8]).sum()
  approximate = z * np.sqrt(discordance / num_examples)
  assert smallest == pytest.approx(approximate, rel=0.12)
  assert smallest < discordance


def test_mcnemars_level_is_kept():
  assert power.mcnemar_power(0.0, 0.1, 500) < 0.05
  assert power.mcnemar_power(0.0, 0.1, 500) == pytest.approx(
    power_by_simulation(0.0, 0.1, 500, 4000), abs=0.011
  )


def test_a_difference_needs_six_images_that_all_speak_for_one():
  smallest = power.mcnemar(0.0, 1000)
  # 6 or more of 1,000 with a chance of 80 %; 5 have p = 2/32.
  assert scipy.stats.binom.sf(5, 1000, smallest) == pytest.approx(0.8, abs=1e-3)
  assert np.isnan(power.mcnemar(0.0, 5))
  assert power.mcnemar(0.0, 6) == pytest.approx(0.8 ** (1 / 6), abs=1e-3)


def test_mean_per_class_finds_its_smallest_difference_in_80_percent():
  counts = np.array([300, 100, 50, 20] * 5)
  labels = np.repeat(np.arange(20), counts)
  generator = np.random.default_rng(1)
  shape = 300, len(labels)
  first_right, gain = 0.7, 0.06

  def scores(share):
    correct = generator.random(shape) < share
    return correct / (len(counts) * counts[labels])

  first, second = scores(first_right + gain), scores(first_right)
  differences = (first - second).sum(axis=1)
  errors = np.sqrt(((first - second) ** 2).sum(axis=1))
  # With the gain that the test resolves, the share found is 80 %.
  smallest = np.mean([power.of_error(error) for error in errors])
  shifted = differences - gain + smallest
  found = np.abs(shifted) > scipy.stats.norm.ppf(0.975) * errors
  assert np.mean(found) == pytest.approx(0.8, abs=0.07)
  discordance = float(np.mean(first[0] != second[0]))
  one = power.paired('mean_per_class', first[0], second[0], discordance)
  assert one.difference == pytest.approx(smallest, rel=0.1)
  assert one.discordance == discordance


def test_no_difference_is_resolved_by_networks_that_never_differ():
  scores = np.full(100, 0.01)
  one = power.paired('mean_per_class', scores, scores, 0.0)
  assert np.isnan(one.difference)
  few = scores.copy()
  few[0] = 0
  # One image cannot do: six or more must.
  one = power.paired('mean_per_class', scores, few, 0.01)
  assert one.difference >= 0.06


@pytest.mark.parametrize('num_datasets', [2, 3, 12])
def test_t_test_finds_its_smallest_difference_in_80_percent(num_datasets):
  generator = np.random.default_rng(0)
  values = generator.normal(size=(20_000, num_datasets))
  sample = generator.normal(size=num_datasets)
  # In units of the standard deviation.
  ratio = power.t_test(sample) / sample.std(ddof=1)
  p = scipy.stats.ttest_1samp(values + ratio, 0, axis=1).pvalue
  assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.01)
  if num_datasets == 12:
    # statsmodels: TTestPower().solve_power(nobs=12, alpha=.05, power=.8)
    assert ratio == pytest.approx(0.88865434, rel=1e-4)


def test_runs_make_the_smallest_difference_larger():
  generator = np.random.default_rng(0)
  labels = np.zeros(400, int)
  first = generator.random((3, 400)) < np.array([[0.8], [0.85], [0.75]])
  second = generator.random((3, 400)) < 0.8
  test = run_tests.compare('top1', labels, first, second)
  with_runs = power.with_runs(test.sampling, test.runs, test.degrees)
  assert with_runs > power.of_error(np.sqrt(test.sampling))
  assert np.isnan(power.with_runs(0.0, 0.0, 2))


def test_no_difference_of_accuracies_is_more_than_all():
  # Two runs of 10 % and 90 %, and one of another network.
  smallest = power.with_runs(0.0005, 0.32 * (1 / 2 + 1), 1)
  assert np.isnan(smallest)
  scores = np.array([0.5, 0.0, 0.0]), np.array([0.0, 0.5, 0.5])
  assert np.isnan(power.paired('mean_per_class', *scores, 1.0).difference)


def test_alone_is_an_assumption():
  labels = np.arange(500) % 5
  correct = np.arange(500) < 400
  for metric in ('top1', 'mean_per_class'):
    scores = paired_tests.example_scores(metric, labels, correct)
    one = power.alone(metric, labels, correct, scores)
    assert one.assumed
    assert one.discordance == pytest.approx(0.32)
    assert one.difference == pytest.approx(
      power.of_error(np.sqrt(0.32 / 500)), rel=0.06
    )
  many = np.where(np.random.default_rng(0).random((500, 5)) < 0.3, 1, 0)
  right = np.random.default_rng(1).random((500, 5)) < 0.8
  scores = paired_tests.example_scores('map11', many, right)
  one = power.alone('map11', many, right, scores)
  # Independent labels: five times as many.
  assert one.difference == pytest.approx(
    power.of_error(np.sqrt(0.32 / 2500)), rel=0.1
  )
