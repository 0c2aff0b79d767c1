import csv
import io

from tf_transfer.study.analysis import shift_results
from tf_transfer.study.report import shift_csv


def test_a_row_a_checkpoint_with_what_was_published():
  text = shift_csv.render(shift_results.published())
  rows = list(csv.DictReader(io.StringIO(text)))
  assert len(rows) == 1266
  one = next(r for r in rows if r['checkpoint'] == 'resnet50.a1_in1k')
  assert (one['image_size'], one['crop_fraction']) == ('288', '1.0')
  assert float(one['imagenet_top1']) == 0.8124
  assert float(one['imagenet_r_top1']) == 0.38993
  assert float(one['imagenet_r_plain_top1']) == 0.9431
  assert one['pretraining'] == 'ImageNet-1k alone'
  assert one['images_per_second_rtx4090_amp'] == '4865.17'
  # Test sets of all classes have no other plain accuracy.
  assert 'imagenet_sketch_plain_top1' not in one
  missing = next(r for r in rows if r['checkpoint'] == 'resnet50.tv_in1k')
  assert missing['imagenet_a_top1'] == missing['imagenet_a_p'] == ''
  best = rows[0]
  # Beyond the curve: an accuracy, but nothing to compare it with.
  assert best['imagenet_r_top1']
  assert best['imagenet_r_above_curve'] == ''
