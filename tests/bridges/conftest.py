"""Every transport, for the tests that ask for one."""

import pytest
from tests.bridges.traces import TRANSPORTS


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param
