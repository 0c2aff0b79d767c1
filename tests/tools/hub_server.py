"""A small hub on loopback: what the hub's client asks of it, and nothing else.

Large files (LFS) are answered as the hub does: HEAD with their SHA-256 and size
and a redirect to another address, where GET has their content, in ranges if
asked. Others have the hash of Git and are served through a relative redirect.
"""

import collections
import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator

import pytest
from huggingface_hub import constants, file_download

COMMIT = '0123456789abcdef0123456789abcdef01234567'
_RESOLVE = re.compile(r'/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/([\w./-]+)')
_LARGE = '.safetensors'


def git_hash(content):
  """The hash by which Git knows a file's content."""
  return hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest()


@dataclasses.dataclass
class Hub:
  """What the hub has, and what it was asked.

  Attributes:
    files: repository -> file -> content.
    gated: repositories whose terms nobody has accepted.
    served: path of a large file's address -> what is sent in its place.
    cut: how often the connection is cut halfway through a large file.
    requests: every request, as 'GET /path'.
  """

  files: dict[str, dict[str, bytes]] = dataclasses.field(default_factory=dict)
  gated: set[str] = dataclasses.field(default_factory=set)
  served: dict[str, bytes] = dataclasses.field(default_factory=dict)
  cut: int = 0
  requests: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  endpoint: str = ''


class _Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'

  def log_message(self, *_):
    pass

  def do_HEAD(self):
    self._answer()

  def do_GET(self):
    self._answer()

  def _answer(self):
    hub = self.server.hub
    hub.requests[f'{self.command} {self.path}'] += 1
    resolved = _RESOLVE.fullmatch(self.path)
    if resolved:
      self._resolve(hub, *resolved.groups())
    elif self.path.startswith('/stored/'):
      self._send_stored(hub)
    else:
      self._send(404, {'X-Error-Code': 'EntryNotFound'})

  def _resolve(self, hub, repository, revision, file):
    if repository in hub.gated:
      self._send(401, {'X-Error-Code': 'GatedRepo'})
    elif repository not in hub.files:
      # As the hub answers to who is not logged in.
      self._send(401, {'X-Error-Code': 'RepoNotFound'})
    elif revision not in ('main', COMMIT):
      self._send(404, {'X-Error-Code': 'RevisionNotFound'})
    elif file not in hub.files[repository]:
      missing = {'X-Error-Code': 'EntryNotFound', 'X-Repo-Commit': COMMIT}
      self._send(404, missing)
    else:
      self._redirect(hub, repository, file)

  def _redirect(self, hub, repository, file):
    content = hub.files[repository][file]
    fields = {'X-Repo-Commit': COMMIT, 'X-Linked-Size': str(len(content))}
    address = f'/stored/{repository}/{file}'
    if file.endswith(_LARGE):
      fields['X-Linked-Etag'] = f'"{hashlib.sha256(content).hexdigest()}"'
      fields['Location'] = hub.endpoint.replace('127.0.0.1', 'localhost')
      fields['Location'] += address
      self._send(302, fields)
    else:
      self._send(307, {**fields, 'Location': address})

  def _send_stored(self, hub):
    repository, file = re.fullmatch(
      r'/stored/(\w+/[\w.-]+)/(.+)', self.path
    ).groups()
    content = hub.files[repository][file]
    fields = {'X-Repo-Commit': COMMIT, 'ETag': f'"{git_hash(content)}"'}
    content = hub.served.get(f'{repository}/{file}', content)
    start = 0
    asked = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range') or '')
    if asked:
      start = int(asked[1])
      end = len(content) - 1
      fields['Content-Range'] = f'bytes {start}-{end}/{len(content)}'
    self._send(206 if asked else 200, fields, content[start:])

  def _send(self, status, fields, content=b''):
    hub = self.server.hub
    self.send_response(status)
    for name, value in fields.items():
      self.send_header(name, value)
    self.send_header('Content-Length', str(len(content)))
    self.end_headers()
    if self.command == 'HEAD':
      return
    if hub.cut and self.path.endswith(_LARGE):
      hub.cut -= 1
      self.wfile.write(content[: len(content) // 2])
      self.close_connection = True
      return
    self.wfile.write(content)


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
  """Runs an empty hub until the block ends."""
  hub = Hub()
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
  server.hub = hub
  hub.endpoint = f'http://127.0.0.1:{server.server_address[1]}'
  thread = threading.Thread(target=server.serve_forever, args=(0.01,))
  thread.start()
  try:
    yield hub
  finally:
    server.shutdown()
    server.server_close()
    thread.join()


@contextlib.contextmanager
def connected(cache) -> Iterator[Hub]:
  """A hub that the client in this process asks; its cache is a directory."""
  with serve() as hub, pytest.MonkeyPatch.context() as patch:
    template = hub.endpoint + '/{repo_id}/resolve/{revision}/{filename}'
    patch.setattr(constants, 'ENDPOINT', hub.endpoint)
    patch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
    patch.setattr(constants, 'HF_HUB_CACHE', str(cache))
    patch.setattr(constants, 'HF_HUB_OFFLINE', False)
    # Between attempts.
    patch.setattr(file_download.time, 'sleep', lambda _: None)
    yield hub


def config(architecture, **changes):
  """A config.json as timm writes it, of a ResNet-50's images by default."""
  pretrained = {
    'tag': 'a1_in1k',
    'custom_load': False,
    'input_size': [3, 224, 224],
    'test_input_size': [3, 288, 288],
    'fixed_input_size': False,
    'interpolation': 'bicubic',
    'crop_pct': 0.95,
    'test_crop_pct': 1.0,
    'crop_mode': 'center',
    'mean': [0.485, 0.456, 0.406],
    'std': [0.229, 0.224, 0.225],
    'num_classes': 1000,
    'pool_size': [7, 7],
    'first_conv': 'conv1',
    'classifier': 'fc',
    **changes,
  }
  fields = {
    'architecture': architecture,
    'num_classes': pretrained['num_classes'],
    'num_features': 2048,
    'pretrained_cfg': pretrained,
  }
  return json.dumps(fields, indent=2).encode()
