"""Every transport, and a directory of their own for shared memory, for the tests that ask."""

import pytest
from tests.bridges.traces import TRANSPORTS

from tropism.bridges.transports.shm import region


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv(region.DIRECTORY, str(tmp_path))
    return tmp_path
