"""Networks of finished cells, with the head of their record."""

import numpy as np
import pytest

from tf_transfer import datasets, errors, networks
from tf_transfer.configs import export as export_config
from tf_transfer.jobs import study
from tf_transfer.networks import weights
from tf_transfer.study import export, ledger, predictions


@pytest.fixture
def finished(tiny_config, tmp_path):
  """The workdir of a study of two settings and one network."""
  with tiny_config.unlocked():
    tiny_config.networks = ('tiny',)
    tiny_config.settings = ('logistic_regression', 'ridge', 'linear_svm')
    tiny_config.linear_svm.num_penalties = 2
  study.run(tiny_config, tmp_path / 'work')
  config = export_config.get_config('tiny,digits')
  config.weights_dir = str(tmp_path / 'weights')
  return tmp_path / 'work', config


@pytest.mark.usefixtures('no_figures')
def test_exported_network_predicts_as_its_record(finished, tmp_path):
  workdir, config = finished
  records = ledger.read_all(workdir)
  test = datasets.open('digits').splits['test']
  images = [test.read(i) for i in range(len(test))]
  for setting in ('logistic_regression', 'ridge'):
    record = export.find_record(
      records, network='tiny', dataset='digits', setting=setting
    )
    stored = predictions.read(record, workdir)
    path = tmp_path / f'{setting}.safetensors'
    made = export.build(record, workdir, config)
    weights.save(path, made.header, made.variables)
    net = networks.load(path)
    found = net.predict(images)
    np.testing.assert_array_equal(found.labels, stored['prediction'])
    # Scores are stored as float16; as logits, whose error is relative.
    below = stored['scores'].astype(float) / net.header.temperature
    wanted = np.exp(below) / np.exp(below).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, wanted, atol=2e-3)
    assert net.header.classes == datasets.open('digits').classes
    assert net.header.resize == 'whole_image'
    assert net.header.recipe.details['head']['identity'] == record['identity']
  _check_errors(records, workdir, config)


def _check_errors(records, workdir, config):
  for wanted, message in (
    ({'network': 'tiny'}, '2 records fit: .*setting.*ridge'),
    ({'network': 'other'}, 'no record of other .*there are: tiny'),
    ({'identity': 'zz'}, 'no record'),
  ):
    with pytest.raises(errors.InputError, match=message):
      export.find_record(records, **wanted)
  svm = export.find_record(records, setting='linear_svm')
  with pytest.raises(errors.InputError, match='it has no head: Linear SVM'):
    export.build(svm, workdir, config)
  ridge = export.find_record(records, setting='ridge')
  with pytest.raises(errors.InputError, match='its features are of another'):
    export.build({**ridge, 'layer': 'conv'}, workdir, config)
  with pytest.raises(errors.InputError, match='no weights file with its hash'):
    export.build({**ridge, 'weights_sha256': 64 * 'a'}, workdir, config)
  old = {k: v for k, v in ridge.items() if k != 'head'}
  with pytest.raises(errors.InputError, match='run the cell again'):
    export.build(old, workdir, config)
