"""Makes Vega-Lite specifications that fit the page, with Altair."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt


def specification(
  chart: alt.LayerChart,
  data: Mapping[str, Sequence[Mapping[str, Any]]],
  parameters: Sequence[alt.Parameter] = (),
) -> dict[str, Any]:
  """Returns the specification of a chart as wide as the page.

  Args:
    chart: whose data are named.
    data: the rows of each name, which the specification holds.
    parameters: that are chosen on the page.
  """
  chart = chart.add_params(*parameters).properties(
    width='container',
    autosize=alt.AutoSizeParams(type='fit-x', contains='padding'),
  )
  chart = chart.configure(font='system-ui, sans-serif').configure_axis(
    labelFontSize=12, titleFontSize=12, titleFontWeight='normal'
  )
  chart = chart.configure_title(fontSize=14, subtitleFontSize=12)
  chart = chart.configure_legend(labelFontSize=12, titleFontSize=12)
  chart = chart.configure_view(stroke='#bbbbbb')
  result = chart.to_dict()
  result['datasets'] = {name: list(rows) for name, rows in data.items()}
  return result


def select(
  name: str, label: str, options: Mapping[str, str], value: str
) -> alt.Parameter:
  """Returns a parameter that a labeled <select> sets.

  Args:
    name: of the parameter.
    label: written beside it.
    options: value -> what is shown for it.
    value: that is chosen at first.
  """
  return alt.param(
    name=name,
    value=value,
    bind=alt.binding_select(
      options=list(options), labels=list(options.values()), name=f'{label} '
    ),
  )
