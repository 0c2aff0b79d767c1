"""The page of a choice in a real browser.

Skipped only where no browser is installed. REPORT_SCREENSHOTS=DIR keeps what
it looked like, to be looked at.
"""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.study import browsers
from tests.study.choice import choices
from tf_transfer.study.choice import page as page_lib

pytestmark = browsers.needed

PAGES = {
  'digits': choices.digits,
  'two': lambda: choices.made(2, 30, confusing=0.25),
  'many': lambda: choices.made(400, 12),
  'hostile': choices.hostile,
  'one': choices.one_network,
  'networks': lambda: choices.many_networks(40),
}


@pytest.fixture(scope='module')
def browser():
  driver = browsers.start()
  yield driver
  driver.quit()


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
  """The page of each choice."""
  return {
    name: page_lib.write(make(), tmp_path_factory.mktemp(name))
    for name, make in PAGES.items()
  }


def opened(browser, page, width=1280, colors='light'):
  browsers.set_width(browser, width)
  browsers.set_colors(browser, colors)
  browser.get(page.as_uri())
  return browser


def texts(browser, selector):
  # In one call: the rows are changed while they are looked at.
  return browser.execute_script(
    """
    return [...document.querySelectorAll(arguments[0])]
      .filter((e) => e.offsetParent || e.ownerSVGElement)
      .map((e) => e.textContent.trim());
    """,
    selector,
  )


@pytest.mark.parametrize('name', PAGES)
def test_it_asks_for_no_network_has_no_error_and_fits(
  browser, pages, name, tmp_path
):
  browser.get_log('browser')
  browsers.requests(browser)
  for width, colors in ((1280, 'light'), (390, 'dark')):
    opened(browser, pages[name], width, colors)
    assert browsers.overflow(browser) == 0
    path = browsers.keep_screenshot(
      browser, f'choice_{name}_{width}.png', tmp_path
    )
    assert path.stat().st_size > 20_000
  assert browser.get_log('browser') == []
  asked = browsers.requests(browser)
  assert asked.count(pages[name].as_uri()) == 2
  assert all(
    url.startswith('data:') for url in asked if url != pages[name].as_uri()
  )
  assert browser.title.startswith('Which network for')


def test_the_verdict_is_the_largest_text(browser, pages):
  opened(browser, pages['digits'])
  sizes = browser.execute_script("""
    return [...document.querySelectorAll('main *:not(svg *)')]
      .map((e) => [e.tagName, parseFloat(getComputedStyle(e).fontSize)]);
  """)
  largest = max(size for _, size in sizes)
  assert {tag for tag, size in sizes if size == largest} == {'H1'}


@pytest.mark.parametrize('by', ['click', 'keyboard'])
def test_a_heading_sorts_its_column(browser, pages, by):
  opened(browser, pages['digits'])
  column = '#networks tbody td:nth-child(5)'
  before = [float(text) for text in texts(browser, column)]
  assert before != sorted(before)
  heading = browser.find_element(By.CSS_SELECTOR, '#networks th:nth-child(5)')
  button = heading.find_element(By.TAG_NAME, 'button')
  for expected, state in (
    (sorted(before), 'ascending'),
    (sorted(before, reverse=True), 'descending'),
  ):
    if by == 'click':
      button.click()
    else:
      button.send_keys(Keys.ENTER)
    assert [float(text) for text in texts(browser, column)] == expected
    assert heading.get_attribute('aria-sort') == state


def test_names_are_sorted_as_text(browser, pages):
  opened(browser, pages['digits'])
  browser.find_element(By.CSS_SELECTOR, '#classes th button').click()
  assert texts(browser, '#classes tbody th') == list('0123456789')


def test_estimates_that_are_missing_are_sorted(browser, pages):
  opened(browser, pages['digits'])
  browser.find_element(
    By.CSS_SELECTOR, '#estimators th:nth-child(4) button'
  ).click()
  assert len(texts(browser, '#estimators tbody tr')) == 5


def test_classes_are_filtered(browser, pages):
  opened(browser, pages['many'])
  assert len(texts(browser, '#classes tbody th')) == 400
  browser.find_element(By.ID, 'class-filter').send_keys('CLASS 39')
  shown = texts(browser, '#classes tbody th')
  assert set(shown) == {'class 39', *(f'class 39{i}' for i in range(10))}
  assert texts(browser, '#class-count') == ['11 of 400']


def test_arrow_keys_move_in_the_matrix(browser, pages):
  opened(browser, pages['digits'])
  matrix = browser.find_element(By.ID, 'matrix')
  matrix.send_keys(Keys.ARROW_DOWN)
  first = texts(browser, '#matrix-cell')[0]
  assert 'recognized' in first
  matrix.send_keys(Keys.ARROW_RIGHT)
  assert 'taken for' in texts(browser, '#matrix-cell')[0]
  for _ in range(12):
    matrix.send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
  assert 'recognized' in texts(browser, '#matrix-cell')[0]
  assert texts(browser, '#matrix-cell')[0] != first


@pytest.mark.parametrize('width', [1280, 390])
def test_the_matrix_says_what_is_under_the_pointer(browser, pages, width):
  opened(browser, pages['two'], width)
  said = browser.execute_script("""
    const svg = document.querySelector('#matrix svg');
    const box = svg.getBoundingClientRect();
    const view = svg.viewBox.baseVal;
    const frame = svg.querySelector('.frame');
    const said = [];
    for (const [row, column] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      const cell = +frame.getAttribute('width') / 2;
      const x = +frame.getAttribute('x') + (column + 0.5) * cell;
      const y = +frame.getAttribute('y') + (row + 0.5) * cell;
      svg.dispatchEvent(new PointerEvent('pointermove', {
        clientX: box.left + x * box.width / view.width,
        clientY: box.top + y * box.height / view.height}));
      said.push(document.getElementById('matrix-cell').textContent);
    }
    return said;
  """)
  numbers = [int(one.split(': ')[1].split(' of ')[0]) for one in said]
  written = texts(browser, '#matrix .count')
  shown = sorted(int(text) for text in written)
  assert sorted(n for n in numbers if n) == shown
  assert sum(numbers) == 60
  assert said[0].endswith('recognized')
  assert said[1].startswith('class 0: ')
  assert said[1].endswith('taken for class 1')


def test_dark_mode_changes_figures_too(browser, pages):
  def colors():
    return browser.execute_script("""
      const style = (selector, name) =>
        getComputedStyle(document.querySelector(selector))[name];
      return [style('body', 'backgroundColor'), style('body', 'color'),
              style('.chart .label', 'fill'), style('.curve', 'stroke')];
    """)

  opened(browser, pages['digits'], colors='light')
  light = colors()
  opened(browser, pages['digits'], colors='dark')
  dark = colors()
  assert all(a != b for a, b in zip(light, dark, strict=True))
  assert light[0] == 'rgb(255, 255, 255)'
  assert dark[2] == dark[1]


@pytest.mark.parametrize('width', [1280, 390])
@pytest.mark.parametrize('name', ['digits', 'networks', 'hostile'])
def test_labels_of_charts_do_not_overlap_and_are_not_cut_off(
  browser, pages, name, width
):
  opened(browser, pages[name], width)
  charts = browser.execute_script("""
    const box = (e) => { const r = e.getBoundingClientRect();
                         return [r.left, r.top, r.right, r.bottom]; };
    return [...document.querySelectorAll('.chart svg')].map((svg) => [
      [...svg.querySelectorAll('.label')].map(box),
      [...svg.querySelectorAll('text')].map(box)]);
  """)
  assert len(charts) == 3
  for labels, all_texts in charts:
    assert labels
    for i, a in enumerate(labels):
      for b in labels[i + 1 :]:
        assert not (
          a[0] < b[2] - 1
          and b[0] < a[2] - 1
          and a[1] + 2 < b[3] - 2
          and b[1] + 2 < a[3] - 2
        )
    assert all(a[0] >= 0 and a[2] <= width for a in all_texts)


def test_focus_is_seen_and_follows_the_page(browser, pages):
  opened(browser, pages['digits'])
  body = browser.find_element(By.TAG_NAME, 'body')
  body.send_keys(Keys.TAB)
  order = []
  for _ in range(60):
    active = browser.switch_to.active_element
    assert active.value_of_css_property('outline-style') != 'none'
    order.append(
      browser.execute_script(
        'return [...document.all].indexOf(arguments[0])', active
      )
    )
    active.send_keys(Keys.TAB)
    if browser.switch_to.active_element.tag_name == 'body':
      break
  assert order == sorted(order)
  assert len(order) > 20


def test_without_scripts_all_but_sorting_is_there(browser, pages):
  browser.execute_cdp_cmd(
    'Emulation.setScriptExecutionDisabled', {'value': True}
  )
  try:
    opened(browser, pages['digits'])
    body = browser.find_element(By.TAG_NAME, 'body').text
    for words in ('Networks that were tried', 'Most frequent confusions'):
      assert words in body
    # What only scripts can do is not offered.
    assert 'Show classes whose name has' not in body
    assert 'arrow keys' not in body
    assert browser.find_elements(By.CSS_SELECTOR, 'th button') == []
  finally:
    browser.execute_cdp_cmd(
      'Emulation.setScriptExecutionDisabled', {'value': False}
    )
