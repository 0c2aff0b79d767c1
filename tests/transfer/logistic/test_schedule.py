"""What the next penalty's preconditioner will be."""

from tf_transfer.transfer.logistic import schedule


def following(number: int, evaluations: int) -> int:
  """After a penalty with so many leading examples; CIFAR-100's size."""
  plan = schedule.Plan(50_000, 2048, 100, softmax=True)
  plan.number = number
  plan.took(evaluations)
  assert not plan.factor_now
  return plan.number


def test_number_of_leading_examples_follows_the_cost():
  numbers = [0, 1024, 2048, 4096]
  assert [following(n, 10) for n in numbers] == [0, 0, 1024, 2048]
  # Thousands of evaluations are worth any of them, one step at a time.
  assert [following(n, 3000) for n in numbers] == [1024, 2048, 4096, 4096]


def test_whole_hessian_is_factored_when_it_pays_and_again_when_it_is_old():
  """Ten classes: fewer weights than examples."""
  plan = schedule.Plan(50_000, 2048, 10, softmax=True)
  plan.took(20)
  assert not plan.factor_now
  # Leading examples are tried ahead of it.
  while not plan.factor_now:
    assert plan.number < 4096
    plan.took(1000)
  assert plan.number == 0
  for _ in range(5):
    plan.took(10)
    assert not plan.factor_now
  again = []
  for _ in range(20):
    plan.took(200)
    again.append(plan.factor_now)
  assert not again[0]
  assert 1 < sum(again) < 10


def test_whole_hessian_is_not_for_more_weights_than_examples():
  for plan in (
    schedule.Plan(5_000, 2048, 10, softmax=True),
    # Independent labels.
    schedule.Plan(500_000, 2048, 10, softmax=False),
    # Too large.
    schedule.Plan(500_000, 2048, 100, softmax=True),
  ):
    for _ in range(10):
      plan.took(5000)
      assert not plan.factor_now
