"""Lets failures of the shared comparison show their values."""

import pytest

pytest.register_assert_rewrite('tests.networks.parity')
