import dataclasses

import numpy as np
import pytest

from tf_transfer.transfer.estimators import examples as examples_lib


def test_class_sums_over_several_blocks(tall, monkeypatch):
  monkeypatch.setattr(examples_lib, '_BLOCK', 7)
  want = [
    tall.features[tall.labels == label].astype(float).sum(axis=0)
    for label in range(3)
  ]
  np.testing.assert_allclose(tall.class_sums(), want, rtol=1e-12)


def test_a_class_without_examples_counts_none(tall):
  more = dataclasses.replace(tall, num_classes=5)
  assert more.class_counts().tolist() == [20, 20, 20, 0, 0]
  assert not more.class_sums()[3:].any()


@pytest.mark.parametrize(
  ('change', 'reason'),
  [
    ({'labels': np.zeros((60, 3), int)}, 'several labels'),
    ({'labels': np.zeros(60, int)}, 'fewer than two classes'),
    ({'features': np.full((60, 8), np.nan, np.float32)}, 'not finite'),
  ],
)
def test_check_says_what_cannot_be_used(tall, change, reason):
  with pytest.raises(examples_lib.UndefinedError, match=reason):
    dataclasses.replace(tall, **change).check()
