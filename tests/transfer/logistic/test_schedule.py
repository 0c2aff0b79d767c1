"""Which preconditioner is chosen for the next penalty."""

from tf_transfer.transfer.logistic import schedule


def next_number(num_leading: int, num_evaluations: int) -> int:
  """Returns the leading examples of the next penalty, for CIFAR-100's size.

  Args:
    num_leading: leading examples of the last penalty.
    num_evaluations: that it took.
  """
  choice = schedule.PreconditionerSchedule(50_000, 2048, 100, softmax=True)
  choice.num_leading = num_leading
  choice.update(num_evaluations)
  assert not choice.factor_now
  return choice.num_leading


def test_number_of_leading_examples_follows_the_cost():
  numbers = [0, 1024, 2048, 4096]
  assert [next_number(n, 10) for n in numbers] == [0, 0, 1024, 2048]
  # Thousands of evaluations are worth any of them, one step at a time.
  assert [next_number(n, 3000) for n in numbers] == [1024, 2048, 4096, 4096]


def test_whole_hessian_is_factored_when_it_pays_and_again_when_it_is_old():
  """Ten classes: fewer weights than examples."""
  choice = schedule.PreconditionerSchedule(50_000, 2048, 10, softmax=True)
  choice.update(20)
  assert not choice.factor_now
  # Leading examples are tried ahead of it.
  while not choice.factor_now:
    assert choice.num_leading < 4096
    choice.update(1000)
  assert choice.num_leading == 0
  for _ in range(5):
    choice.update(10)
    assert not choice.factor_now
  renewals = []
  for _ in range(20):
    choice.update(200)
    renewals.append(choice.factor_now)
  assert not renewals[0]
  assert 1 < sum(renewals) < 10


def test_whole_hessian_is_not_for_more_weights_than_examples():
  for choice in (
    schedule.PreconditionerSchedule(5_000, 2048, 10, softmax=True),
    # Independent labels.
    schedule.PreconditionerSchedule(500_000, 2048, 10, softmax=False),
    # In float64.
    schedule.PreconditionerSchedule(
      50_000, 2048, 10, softmax=True, may_factor=False
    ),
    # Too large.
    schedule.PreconditionerSchedule(500_000, 2048, 100, softmax=True),
  ):
    for _ in range(10):
      choice.update(5000)
      assert not choice.factor_now
