"""Every transport, and a directory of their own for shared memory, for the tests that ask."""

import pytest
from tests.bridges.odd import make
from tests.bridges.pairs import SOCKETS, connected
from tests.bridges.traces import TRANSPORTS

from tropism.bridges.transports.shm import region


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv(region.DIRECTORY, str(tmp_path))
    return tmp_path


@pytest.fixture
def play():
    """Makes environments that have been reset, and closes them."""
    made = []

    def begin(*arguments, **kwargs):
        made.append(make(*arguments, **kwargs))
        made[-1].reset(seed=1)
        return made[-1]

    yield begin
    for env in made:
        env.close()


@pytest.fixture
def closing():
    """Environments to be closed."""
    made = []
    yield lambda env: made.append(env) or env
    for env in made:
        env.close()


@pytest.fixture(params=SOCKETS)
def pair(request):
    with connected(request.param) as pair:
        yield pair
