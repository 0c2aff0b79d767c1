"""Tests the page of a choice: its order, its words, its size."""

import base64
import dataclasses
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.study.choice import choices
from tf_transfer.errors import InputError
from tf_transfer.study.choice import page, types


class Parser(html.parser.HTMLParser):
  """Collects the tags, the texts and the addresses of a page."""

  VOID = ('meta', 'link', 'img', 'br', 'input')

  def __init__(self):
    super().__init__()
    self.open, self.tags, self.texts, self.addresses = [], [], [], []

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    self.addresses += [v for k, v in attributes if k in ('src', 'href')]
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    self.addresses += [v for k, v in attributes if k in ('src', 'href')]

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if not {'script', 'style'} & set(self.open):
      self.texts.append(data)

  @property
  def text(self):
    return re.sub(r'\s+', ' ', ' '.join(self.texts))


def parse(text):
  parser = Parser()
  parser.feed(text)
  assert parser.open == []
  return parser


def test_sections_are_in_the_order_in_which_they_are_asked_for():
  parser = parse(page.render(choices.digits()))
  headings = [
    'Take MiddleNet',
    'The networks',
    'Accuracy against cost',
    'What more images would bring',
    'What MiddleNet confuses',
    'Accuracy by class',
    'The worst mistakes',
    'Labels to look at',
    'Duplicates',
    'Estimators',
    'What else to know',
  ]
  found = [parser.text.index(heading) for heading in headings]
  assert found == sorted(found)
  assert [tag for tag, _ in parser.tags].count('h1') == 1


def test_it_says_on_which_images_accuracies_are_measured():
  choice = choices.digits()
  assert page.measured_on(choice) == (
    '1,430 images, each predicted out of fold: by a classifier that was fitted '
    'on the other 4 of 5 folds'
  )
  alone = choices.one_network()
  assert page.measured_on(alone) == (
    'the 36 images of train; the classifiers that predict them were not '
    'fitted on them'
  )


def test_nothing_is_asked_for():
  parser = parse(page.render(choices.digits()))
  assert all(address.startswith('data:') for address in parser.addresses)


def test_thumbnails_are_the_images():
  choice = choices.digits()
  parser = parse(page.render(choice))
  sources = [a['src'] for tag, a in parser.tags if tag == 'img']
  one = choice.candidate('middle')
  wrong = np.flatnonzero(one.predictions != choice.images.labels)
  known = {choice.images.read(i).tobytes() for i in wrong.tolist()}
  data = base64.b64decode(sources[0].partition(',')[2])
  assert np.asarray(Image.open(io.BytesIO(data))).tobytes() in known


def test_it_says_its_size(tmp_path):
  path = page.write(choices.digits(), tmp_path)
  assert path == tmp_path / 'choice.html'
  size = path.stat().st_size / 1e6
  assert f'This page is {size:.2f} MB' in parse(path.read_text()).text


def test_400_classes_stay_below_the_size_that_is_stated(tmp_path):
  choice = choices.made(400, 20)
  path = page.write(choice, tmp_path)
  parser = parse(path.read_text())
  assert 'it stays below 6 MB' in parser.text
  assert path.stat().st_size < 1_000_000
  assert 'One of 7 classes is named' in parser.text


def test_the_largest_page_is_below_the_size_that_is_stated():
  """1,000 classes of long names, thumbnails at their limit."""
  choice = choices.made(
    1000, 4, classes=['ü' * 300 + str(i) for i in range(1000)]
  )
  size = len(page.render(choice).encode())
  pictures = len(re.findall('data:image/jpeg[^"]*', page.render(choice)))
  assert pictures <= 24 + 24 + 4 * 24
  assert size < page.MAX_SIZE - page.MAX_THUMBNAILS


def test_hostile_names_are_text():
  choice = choices.hostile()
  text = page.render(choice, ['</pre><script>alert(1)</script>\x1b[31m'])
  parser = parse(text)
  scripts = [a for tag, a in parser.tags if tag == 'script']
  assert len(scripts) == 2  # The data of the matrix, and the page's own.
  assert '<script>document.title' in parser.text
  assert '</pre><script>alert(1)' in parser.text
  assert '\x1b' not in text
  assert '\\x1b[31m' in parser.text


def test_long_names_are_shortened():
  text = page.render(choices.hostile())
  assert 'x' * 200 not in text


def test_one_network_without_anything_else():
  parser = parse(page.render(choices.one_network()))
  for words in (
    'Take LargeNet.',
    'No learning curve was computed.',
    'No network was skipped, and there are no notes.',
  ):
    assert words in parser.text
  assert 'out of fold' not in parser.text


def test_points_of_a_learning_curve_without_a_fit():
  """As of classes of three images: there are points, but no fitted curve."""
  curve = choices.curve('small')
  none = np.zeros(0)
  curve = dataclasses.replace(
    curve, examples=none, fitted=none, low=none, high=none, lines=('Too few.',)
  )
  choice = dataclasses.replace(choices.made(3, 12), learning_curve=curve)
  text = parse(page.render(choice)).text
  assert 'What more images would bring Too few.' in text
  assert 'No learning curve was computed.' not in text


def test_a_perfect_network():
  choice = choices.made(2, 60, confusing=0)
  assert choice.candidates[0].accuracy.value == 1
  parser = parse(page.render(choice))
  for words in (
    'No image is predicted wrong.',
    'No label is doubtful.',
    'None: every image is predicted right.',
  ):
    assert words in parser.text


def test_what_was_skipped_and_the_report_are_shown():
  parser = parse(page.render(choices.digits(), ['560 images in 12 folders']))
  for words in (
    'vit_h14',
    'no time was left of 30 min',
    '3 files were left out',
    '560 images in 12 folders',
  ):
    assert words in parser.text


def test_fits_that_did_not_converge_are_named():
  choice = choices.digits()
  first, *others = choice.candidates
  first = dataclasses.replace(first, converged=False)
  choice = dataclasses.replace(choice, candidates=(first, *others))
  parser = parse(page.render(choice))
  assert f'The fit did not converge: {first.title}.' in parser.text


def test_labels_are_doubted_by_all_that_are_tied():
  parser = parse(page.render(choices.digits()))
  assert 'mean probability over the 2 networks that are tied' in parser.text


def with_scores(choice, change):
  """The same choice with other scores of each network."""
  return dataclasses.replace(
    choice,
    candidates=tuple(
      dataclasses.replace(one, scores=change(one.scores.copy()))
      for one in choice.candidates
    ),
  )


def test_labels_of_a_class_that_was_not_fitted_are_not_doubted():
  choice = choices.made(6, 30, confusing=0.3)
  of_class = choice.images.labels == 2

  def forget(scores):
    scores[of_class, 2] = np.finfo(np.float16).min
    return scores

  parser = parse(page.render(with_scores(choice, forget)))
  assert (
    '30 images of 1 class cannot be judged, since the classifier was fitted on '
    'no image of the class: class 2.'
  ) in parser.text
  assert 'temperature of 100' not in parser.text
  doubtful = parser.text.partition('Labels to look at')[2]
  doubtful = doubtful.partition('Duplicates')[0]
  assert 'have a doubtful label' in doubtful
  assert 'label class 2' not in re.sub(r'[:\s]+', ' ', doubtful)
  assert 'cannot be judged' not in parse(page.render(choice)).text


def test_labels_are_not_doubted_by_probabilities_that_are_not_calibrated():
  choice = choices.made(6, 30, confusing=0.3)
  text = parse(page.render(with_scores(choice, lambda s: -s))).text
  assert 'Labels are not judged: the probabilities could not be' in text
  assert 'have a doubtful label' not in text


def test_images_with_several_labels():
  choice = choices.made(3, 12)
  labels = np.eye(3, dtype=int)[choice.images.labels]
  images = dataclasses.replace(choice.images, labels=labels)
  choice = dataclasses.replace(choice, images=images)
  parser = parse(page.render(choice))
  assert 'the images have several labels' in parser.text
  assert 'The worst mistakes' not in parser.text


def test_an_image_that_cannot_be_read_does_not_end_the_page():
  choice = choices.made(3, 12, confusing=0.3)

  def read(i):
    raise InputError(f'image {i} is damaged')

  images = dataclasses.replace(choice.images, read=read)
  parser = parse(page.render(dataclasses.replace(choice, images=images)))
  assert 'no picture' in parser.text


def test_a_page_that_cannot_be_written(tmp_path):
  with pytest.raises(InputError):
    page.write(choices.one_network(), tmp_path / 'missing' / 'folder')


def test_charts_have_words_for_those_who_do_not_see_them():
  parser = parse(page.render(choices.digits()))
  pictures = [a for tag, a in parser.tags if tag == 'svg']
  for attributes in pictures:
    assert attributes.get('aria-label') or attributes['aria-hidden'] == 'true'


def test_a_curve_of_a_network_that_is_no_candidate_is_named():
  choice = choices.digits()
  curve = choices.curve('another')
  text = page.render(dataclasses.replace(choice, learning_curve=curve))
  assert 'Accuracy of another in percent' in text
  assert isinstance(curve, types.LearningCurve)


def test_networks_that_were_ranked_without_training():
  choice = choices.not_trained()
  parser = parse(page.render(choice))
  assert 'nan' not in parser.text.lower().split()
  assert 'that are tied' not in parser.text
  verdict = dataclasses.replace(
    choice.verdict, recommended=choice.candidates[1].network
  )
  parser = parse(page.render(dataclasses.replace(choice, verdict=verdict)))
  assert 'the images were not predicted' in parser.text


def test_accuracy_that_is_a_mean_over_classes_is_called_so():
  choice = choices.made(3, 12)
  dataset = dataclasses.replace(choice.dataset, metric='mean_per_class')
  parser = parse(page.render(dataclasses.replace(choice, dataset=dataset)))
  assert 'Accuracy is the mean over the classes, measured on 36' in parser.text


def test_the_line_of_the_front_is_only_spoken_of_where_there_is_one():
  several = choices.digits()
  text = page.render(several)
  assert 'The line joins the networks that no other beats in both. ' in text
  assert text.count('<path class="front"') == 3
  # Ahead in one cost, and not in the others.
  best, *others = several.candidates
  cost = dataclasses.replace(best.cost, parameters=1000)
  choice = dataclasses.replace(
    several, candidates=(dataclasses.replace(best, cost=cost), *others)
  )
  text = page.render(choice)
  assert 'where there is none, a single network is ahead in both.' in text
  assert text.count('<path class="front"') == 2
  text = page.render(choices.one_network())
  assert 'Accuracy against cost' in text
  assert 'The line joins' not in text
  assert '<path class="front"' not in text


def test_it_says_what_is_recommended():
  text = parse(page.render(choices.digits())).text
  assert 'Recommended: the cheapest of the tied that is at most one' in text


def test_accuracy_on_test_is_said_once():
  choice = choices.made(3, 12)
  words = 'on the test split, which was read once for this: 89.3 %'
  assert words in parse(page.render(choice)).text
  said = f'On 360 images ({choice.test_name}) it is right for 89.3 %.'
  verdict = dataclasses.replace(choice.verdict, lines=('Take it.', said))
  text = parse(page.render(dataclasses.replace(choice, verdict=verdict))).text
  assert text.count('89.3 %') == 1


@pytest.mark.parametrize('num_points', [0, 1, 2])
def test_too_few_images_for_a_learning_curve(num_points):
  empty = np.zeros(0)
  points = tuple(types.LearningPoint(n, (0.5,)) for n in (4, 8)[:num_points])
  curve = types.LearningCurve(
    'middle', points, empty, empty, empty, empty, ('Too few images.',)
  )
  choice = dataclasses.replace(choices.digits(), learning_curve=curve)
  text = page.render(choice)
  assert 'Too few images.' in parse(text).text
  assert text.count('class="draw"') == num_points
  assert 'class="band"' not in text
  assert 'fitted curve' not in text
