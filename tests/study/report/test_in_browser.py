"""The report in a real browser: Chromium, driven through its own protocol.

Skipped only where no browser is installed. REPORT_SCREENSHOTS=DIR keeps what
it looked like, to be looked at.
"""

import csv
import os
import pathlib

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.study import browsers, curve_records
from tests.study.browsers import wait
from tests.study.report import page_records
from tests.study.report.test_test_reads import add as add_read
from tf_transfer.datasets import test_reads
from tf_transfer.study import ledger
from tf_transfer.study.report import page as page_lib

pytestmark = browsers.needed
HOSTILE = '</script><script>document.title = "taken over"</script>'


@pytest.fixture(scope='module')
def page(tmp_path_factory) -> pathlib.Path:
  workdir = tmp_path_factory.mktemp('study')
  records = page_records.write(
    workdir,
    [
      *page_records.of_the_paper(8),
      *(
        page_records.with_scores(
          page_records.record(
            'mine', dataset, 'logistic_regression', 0.8, 0.72, notes=[HOSTILE]
          )
        )
        for dataset in ('pets', 'folder:/x/<b>cats')
      ),
    ],
    [
      {
        'network': 'resnet50',
        'dataset': 'dtd',
        'setting': 'fine_tuned',
        'error': f'no archives {HOSTILE}',
        'time': '2026-01-02T03:04:05+00:00',
      }
    ],
  )
  log = test_reads.Log(workdir / 'log')
  for number in range(9):
    add_read(
      log,
      records[0],
      identity=str(number),
      config_sha256=str(number % 3) * 64,
      changed=(f'num_penalties = {number % 3}', HOSTILE),
    )
  return page_lib.write(records, workdir, log=log)


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
  driver = browsers.start()
  driver.downloads = tmp_path_factory.mktemp('downloads')
  driver.execute_cdp_cmd(
    'Browser.setDownloadBehavior',
    {'behavior': 'allow', 'downloadPath': str(driver.downloads)},
  )
  yield driver
  driver.quit()


def ledger_of(page):
  return ledger.Ledger(page.parent).read().values()


def opened(browser, page, width=1280):
  browsers.set_width(browser, width)
  browser.get(page.as_uri())
  wait(browser, lambda: marks(browser))
  wait(
    browser,
    lambda: browser.find_elements(By.CSS_SELECTOR, '#cells.dataTable'),
  )
  return browser


def marks(browser):
  """The points of figure 2 that are drawn, with what they say of themselves."""
  return browser.find_elements(
    By.CSS_SELECTOR, '#figure path[aria-roledescription="point"]'
  )


def text(browser):
  """All that is written on figure 2."""
  figure = browser.find_element(By.CSS_SELECTOR, '#figure svg')
  return figure.get_attribute('textContent')


def choice(browser, label):
  (found,) = (
    one
    for one in browser.find_elements(By.CSS_SELECTOR, '.vega-bind label')
    if one.text.startswith(label)
  )
  return found


def choose(browser, label, value):
  element = choice(browser, label).find_element(By.TAG_NAME, 'select')
  Select(element).select_by_visible_text(value)


def test_it_asks_for_no_network_and_has_no_error(browser, page):
  browser.get_log('browser')
  browser.get_log('performance')
  opened(browser, page)
  assert browser.get_log('browser') == []
  requests = browsers.requests(browser)
  assert requests[0] == page.as_uri()
  assert all(url.startswith('data:') for url in requests[1:])
  assert browser.title == 'Do better ImageNet models transfer better?'
  assert HOSTILE in browser.find_element(By.ID, 'failures').text
  search = '#remarks_wrapper input[type="search"]'
  browser.find_element(By.CSS_SELECTOR, search).send_keys('mine')
  assert HOSTILE in browser.find_element(By.ID, 'remarks').text


def test_hover_shows_the_numbers_of_a_point(browser, page):
  opened(browser, page)
  mark = next(
    m
    for m in marks(browser)
    if m.get_attribute('aria-label').startswith('ResNet-50, ours')
  )
  browser.execute_script('arguments[0].scrollIntoView({block: "center"})', mark)
  # Paths are hollow to WebDriver: to its middle, by the box that it has.
  ActionChains(browser).move_to_element(mark).pause(0.2).perform()
  (tip,) = wait(
    browser,
    lambda: browser.find_elements(By.CSS_SELECTOR, '.vg-tooltip.visible'),
  )
  for words in ('ResNet-50', 'Interval', 'ImageNet top-1', '23.5 million'):
    assert words in tip.text


def test_choices_change_what_is_shown(browser, page):
  opened(browser, page)
  assert 'Mean log-odds over 2 datasets, logistic regression' in text(browser)
  choose(browser, 'Dataset', 'Oxford-IIIT Pets')
  choose(browser, 'Setting', 'Fine-tuned')
  wait(browser, lambda: 'Oxford-IIIT Pets, fine-tuned' in text(browser))
  shown = [mark.get_attribute('aria-label') for mark in marks(browser)]
  assert sum(', ours' in one for one in shown) == 8
  assert sum(', the paper' in one for one in shown) == 16
  choice(browser, "The paper's").find_element(By.TAG_NAME, 'input').click()
  wait(browser, lambda: len(marks(browser)) == 8)
  choose(browser, 'Mark network', 'Inception v4')
  wait(
    browser,
    lambda: 'Inception v4, ours' in text(browser),
  )


def test_choices_take_the_keyboard(browser, page):
  opened(browser, page)
  element = choice(browser, 'Setting').find_element(By.TAG_NAME, 'select')
  element.send_keys(Keys.ARROW_DOWN)
  wait(
    browser,
    lambda: 'Mean log-odds over 2 datasets, fine-tuned' in text(browser),
  )


def test_curves_follow_their_choice(browser, page):
  opened(browser, page)
  (first, _) = browser.find_elements(
    By.CSS_SELECTOR, '[id^="curve-choices"] select'
  )
  Select(first).select_by_visible_text(
    'Inception v3, Stanford Cars, Logistic regression'
  )
  chart = browser.find_element(By.ID, 'curve-1')
  wait(
    browser,
    lambda: 'Inception v3Stanford Cars' in chart.get_attribute('textContent'),
  )
  points = chart.find_elements(
    By.CSS_SELECTOR, 'path[aria-roledescription="point"]'
  )
  assert len(points) == 45 + 1  # The one that was chosen has a second mark.


def test_the_reliability_diagram_follows_its_choices(browser, page):
  opened(browser, page)
  cell, logits = (
    Select(one)
    for one in browser.find_elements(
      By.CSS_SELECTOR, '#calibration-choices select'
    )
  )
  chart = browser.find_element(By.ID, 'reliability')

  def shown():
    return chart.get_attribute('textContent')

  wait(browser, lambda: 'mineOxford-IIIT PetsLogistic regression' in shown())
  assert 'temperature' not in shown()
  logits.select_by_visible_text('divided by the temperature')
  wait(browser, lambda: '), temperature ' in shown())
  cell.select_by_index(1)
  wait(browser, lambda: 'mine<b>catsLogistic regression' in shown())
  points = chart.find_elements(
    By.CSS_SELECTOR, 'path[aria-roledescription="point"]'
  )
  assert 5 <= len(points) <= 15
  # The images of all bins, each number in its bar.
  counts = chart.find_elements(
    By.CSS_SELECTOR, '[aria-roledescription="text mark container"] text'
  )
  numbers = [int(one.get_attribute('textContent')) for one in counts]
  assert len(numbers) == len(points)
  assert sum(numbers) == 500


@pytest.mark.parametrize('by', ['click', 'keyboard'])
def test_a_heading_sorts_its_column_by_number(browser, page, by):
  opened(browser, page)

  def column():
    # In one call: the rows are changed while they are looked at.
    return browser.execute_script("""
      const cells = '#cells tbody tr td:nth-child(4)';
      return [...document.querySelectorAll(cells)].map((c) => +c.textContent);
    """)

  before = column()
  assert before != sorted(before)
  lowest = 100 * min(r['test']['value'] for r in ledger_of(page))
  heading = browser.find_element(By.CSS_SELECTOR, '#cells th:nth-child(4)')
  if by == 'click':
    heading.click()
  else:
    heading.find_element(By.CSS_SELECTOR, '[tabindex="0"]').send_keys(
      Keys.ENTER
    )
  wait(browser, lambda: column() != before)
  assert column() == sorted(column())
  # All of the table is sorted, not the part that was shown.
  assert column()[0] == pytest.approx(lowest, abs=0.006)
  assert heading.get_attribute('aria-sort') == 'ascending'


def test_earlier_reads_of_a_test_split_open(browser, page):
  opened(browser, page)
  table = browser.find_element(By.ID, 'test-reads')
  assert 'num_penalties' not in table.text
  summary = table.find_element(By.TAG_NAME, 'summary')
  assert summary.text == 'Logistic regression'
  browser.execute_script(
    'arguments[0].scrollIntoView({block: "center"})', summary
  )
  summary.click()
  wait(browser, lambda: 'num_penalties = 2' in table.text)
  assert HOSTILE in table.text


def test_downloads(browser, page):
  opened(browser, page)
  link = browser.find_element(By.CSS_SELECTOR, 'a[download="cells.csv"]')
  browser.execute_script('arguments[0].scrollIntoView({block: "center"})', link)
  link.send_keys(Keys.ENTER)
  path = browser.downloads / 'cells.csv'
  wait(browser, path.exists)
  rows = list(csv.DictReader(path.read_text().splitlines()))
  assert len(rows) == 8 * 2 * 2 + 2
  assert rows[0]['Network'] == 'Inception v1'
  assert float(rows[0]['Ours, %']) > 0


@pytest.mark.parametrize(('name', 'width'), [('desktop', 1280), ('phone', 390)])
def test_it_fits_the_screen(browser, page, name, width, tmp_path):
  opened(browser, page, width)
  # Nothing sticks out at the side; wide tables scroll in their own frame.
  assert browsers.overflow(browser) == 0
  figure = browser.find_element(By.CSS_SELECTOR, '#figure svg').rect
  assert 0.8 * width < figure['width'] <= width
  for chart in ('figure', 'reliability'):
    _assert_nothing_is_cut_off(browser, chart)
  path = browsers.keep_screenshot(browser, f'{name}.png', tmp_path)
  assert path.stat().st_size > 50_000


def _assert_nothing_is_cut_off(browser, chart):
  """Every text of a chart lies within its picture."""
  frame, boxes = browser.execute_script(
    """
    const box = (e) => { const r = e.getBoundingClientRect();
                         return [r.left, r.top, r.right, r.bottom]; };
    const svg = document.querySelector(`#${arguments[0]} svg`);
    return [box(svg), [...svg.querySelectorAll('text')]
      .filter((e) => e.textContent).map((e) => [e.textContent, ...box(e)])];
  """,
    chart,
  )
  assert boxes
  for words, left, top, right, bottom in boxes:
    assert frame[0] - 1 <= left, words
    assert right <= frame[2] + 1, words
    assert frame[1] - 1 <= top, words
    assert bottom <= frame[3] + 1, words


@pytest.fixture(scope='module')
def learning_page(tmp_path_factory) -> pathlib.Path:
  """A page with figures 8 and 9, of two datasets in the second."""
  workdir = tmp_path_factory.mktemp('learning')
  cells = [
    *curve_records.both(),
    *(
      curve_records.few(curve_records.FIXED, n, 0, 0.4, 'dtd')
      for n in (1, 4, 16)
    ),
  ]
  return page_lib.write(page_records.write(workdir, cells), workdir)


def learning_points(browser, name):
  return browser.find_elements(
    By.CSS_SELECTOR, f'#{name}-chart path[aria-roledescription="point"]'
  )


@pytest.mark.parametrize(('name', 'width'), [('desktop', 1280), ('phone', 390)])
def test_figures_8_and_9_fit_the_screen(
  browser, learning_page, name, width, tmp_path
):
  browser.get_log('browser')
  opened(browser, learning_page, width)
  wait(browser, lambda: learning_points(browser, 'examples'))
  assert browser.get_log('browser') == []
  papers = curve_records.papers_points('pets')
  assert len(learning_points(browser, 'steps')) == 2 * 4 + papers
  assert len(learning_points(browser, 'examples')) == 3 * 3
  assert browsers.overflow(browser) == 0
  for figure in ('steps', 'examples'):
    _assert_nothing_is_cut_off(browser, f'{figure}-chart')
  element = browser.find_element(By.ID, 'learning')
  folder = pathlib.Path(os.environ.get('REPORT_SCREENSHOTS', tmp_path))
  path = folder / f'learning_{name}.png'
  path.write_bytes(element.screenshot_as_png)
  assert path.stat().st_size > 10_000


def test_figure_9_follows_its_choice(browser, learning_page):
  opened(browser, learning_page)
  wait(browser, lambda: learning_points(browser, 'examples'))
  (element,) = browser.find_elements(
    By.CSS_SELECTOR, '#examples-choices select'
  )
  Select(element).select_by_visible_text('ResNet-50, DTD')
  wait(browser, lambda: len(learning_points(browser, 'examples')) == 3)
