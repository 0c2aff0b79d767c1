"""Tests the galleries of mistakes, doubtful labels and duplicates."""

import dataclasses

import numpy as np

from tests.study.choice import choices
from tf_transfer.study.choice import gallery, probabilities


def build(choice, limit=10**6):
  one = choice.candidate(choice.verdict.recommended)
  p = probabilities.calibrate(choice.images.labels, one.scores).values
  everything = np.ones(len(p), bool)
  return p, gallery.build(
    choice.dataset, choice.images, one.predictions, p, p, everything, limit
  )


def test_mistakes_of_digits():
  choice = choices.digits()
  p, galleries = build(choice)
  one = choice.candidate(choice.verdict.recommended)
  wrong = np.flatnonzero(one.predictions != choice.images.labels)
  assert galleries.num_wrong == len(wrong)
  assert len(galleries.worst) == 24
  worst = wrong[p[wrong, one.predictions[wrong]].argmax()]
  first = galleries.worst[0]
  assert first.name == choice.images.describe(worst)
  predicted, label = dict(first.lines)['predicted'], dict(first.lines)['label']
  assert predicted.startswith(f'{one.predictions[worst]}, ')
  assert label.startswith(f'{choice.images.labels[worst]}, ')
  assert first.thumbnail.crisp
  assert first.thumbnail.size == '8 × 8'


def test_doubtful_labels_are_a_part_of_all():
  _, galleries = build(choices.digits())
  assert 0 < len(galleries.doubtful) <= 24
  assert galleries.num_doubtful >= len(galleries.doubtful)
  assert [what for what, _ in galleries.doubtful[0].lines] == [
    'label',
    'rather',
  ]


def test_duplicates_between_splits():
  _, galleries = build(choices.made(3, 12))
  assert galleries.num_between_splits == 3
  pair = galleries.between_splits[0]
  assert dict(pair.first.lines) == {'split': 'train', 'label': 'class 0'}
  assert dict(pair.second.lines)['split'] == 'val'
  assert not pair.identical


def test_names_of_files_are_those_within_their_folder():
  choice = choices.made(3, 12)
  images = dataclasses.replace(
    choice.images, describe=lambda i: f'photos/a/{i}.jpg'
  )
  _, galleries = build(dataclasses.replace(choice, images=images))
  assert galleries.worst
  assert all(one.name.startswith('a/') for one in galleries.worst)


def test_thumbnails_keep_their_limit():
  _, galleries = build(choices.made(30, 10), limit=40_000)
  pictures = [*galleries.worst, *galleries.doubtful]
  for pair in galleries.between_splits:
    pictures += [pair.first, pair.second]
  total = sum(len(one.thumbnail.source) for one in pictures)
  assert 0 < total <= 40_000


def test_no_probability_is_said_to_be_certain():
  text = gallery._percent
  assert text(1.0) == '>\u00a099.9\u00a0%'
  assert text(0.0) == '<\u00a00.1\u00a0%'
  assert text(0.5) == '50.0\u00a0%'
