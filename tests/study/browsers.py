"""Chromium, driven through its own protocol, for the tests of pages."""

import base64
import json
import os
import pathlib
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

BROWSER = shutil.which('chromium') or shutil.which('google-chrome')
DRIVER = shutil.which('chromedriver')

needed = pytest.mark.skipif(
  not (BROWSER and DRIVER),
  reason='no browser: apt-get install chromium chromium-driver',
)


def start():
  options = webdriver.ChromeOptions()
  options.binary_location = BROWSER
  # CI runs as root in a container, where Chromium's sandbox cannot work.
  for argument in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage'):
    options.add_argument(argument)
  options.set_capability(
    'goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'}
  )
  return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


def set_width(browser, width):
  browser.execute_cdp_cmd(
    'Emulation.setDeviceMetricsOverride',
    {
      'width': width,
      'height': 900,
      'deviceScaleFactor': 1,
      'mobile': width < 600,
    },
  )


def set_colors(browser, scheme):
  """Makes 'light' or 'dark' what the reader prefers."""
  browser.execute_cdp_cmd(
    'Emulation.setEmulatedMedia',
    {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]},
  )


def wait(browser, condition):
  return WebDriverWait(browser, 60).until(lambda _: condition())


def requests(browser):
  """The addresses that were asked for since the last call."""
  messages = (
    json.loads(entry['message'])['message']
    for entry in browser.get_log('performance')
  )
  return [
    message['params']['request']['url']
    for message in messages
    if message['method'] == 'Network.requestWillBeSent'
  ]


def overflow(browser):
  """By how many pixels the page is wider than its window."""
  return browser.execute_script("""
    const page = document.documentElement;
    return page.scrollWidth - page.clientWidth;
  """)


def keep_screenshot(browser, name, folder):
  """Writes a picture of the page; REPORT_SCREENSHOTS=DIR keeps it."""
  image = browser.execute_cdp_cmd(
    'Page.captureScreenshot', {'format': 'png', 'captureBeyondViewport': True}
  )
  path = pathlib.Path(os.environ.get('REPORT_SCREENSHOTS', folder)) / name
  path.write_bytes(base64.b64decode(image['data']))
  return path
