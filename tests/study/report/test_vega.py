import altair as alt

from tf_transfer.study.report import vega


def test_a_specification_holds_its_data_and_is_as_wide_as_the_page():
  chart = alt.layer(
    alt.Chart(alt.NamedData('rows')).mark_point().encode(x='x:Q')
  )
  rows = [{'x': 1}, {'x': 2}]
  choice = vega.select('which', 'Which one', {'a': 'first', 'b': 'second'}, 'b')
  specification = vega.specification(chart, {'rows': rows}, [choice])
  assert specification['datasets'] == {'rows': rows}
  assert specification['width'] == 'container'
  (parameter,) = specification['params']
  assert parameter == {
    'name': 'which',
    'value': 'b',
    'bind': {
      'input': 'select',
      'name': 'Which one ',
      'options': ['a', 'b'],
      'labels': ['first', 'second'],
    },
  }
