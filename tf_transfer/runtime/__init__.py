"""Devices, files, checkpoints, progress and metric writers.

Every other package may use these modules; they use only `errors`.
"""

try:
  import fcntl  # noqa: F401
except ImportError as error:
  raise ImportError(
    'tf_transfer runs on Linux and macOS, which lock files with fcntl; on '
    'Windows it runs in the Windows Subsystem for Linux (WSL)'
  ) from error
