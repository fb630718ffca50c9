"""Every transport, both policies, and games that do not outlive their test."""

import pytest
from tests.bridges.faults.games import make
from tests.bridges.traces import is_running, shared_files


@pytest.fixture(params=["raise", "truncate"])
def on_fault(request):
    return request.param


@pytest.fixture
def play():
    """Makes environments over the bare game, resets them, and sees that nothing is left of them."""
    made = []

    def begin(*arguments, **kwargs):
        made.append(make(*arguments, **kwargs))
        made[-1].reset(seed=1)
        return made[-1]

    yield begin
    for env in made:
        pid = env.session.game_pid
        env.close()
        assert not is_running(pid)
    assert shared_files() == []
