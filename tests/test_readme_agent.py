"""The agent of the README is a plugin as it stands there: it is listed, keeps the contract, and learns."""

import re
from pathlib import Path

import pytest

from tropism.agents.contract import Budget, Task
from tropism.agents.evaluate import evaluate
from tropism.agents.runs import Run

README = Path(__file__).parents[1] / "README.md"
TASK = Task("tropism/PatternWorld-Switch-v0")


@pytest.fixture
def host(tmp_path, monkeypatch, plugin_host):
    """A host over the files that the README shows."""
    text = README.read_text(encoding="utf-8")
    files = re.findall(
        r"^`bigram/(\S+\.py)`.*?^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    assert [name for name, _ in files] == ["tropism_bigram/__init__.py", "tropism_bigram/agent.py"]
    (tmp_path / "tropism_bigram").mkdir()
    for name, code in files:
        (tmp_path / name).write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return plugin_host(bigram="tropism_bigram")


def test_it_is_listed_and_keeps_the_contract(host, agent_conformance):
    assert [status.state for status in host.plugins()] == ["loaded", "loaded"]
    assert agent_conformance("bigram", TASK.env_id, host=host)


def test_it_learns(host, tmp_path):
    agent = host.make_agent("bigram")
    with Run(tmp_path / "run", {}) as run:
        policy = agent.train(TASK, Budget(20_000), run)
    (episode,) = evaluate(policy, TASK, [10_000])
    assert episode.score > 250  # of 1000; guessing scores 10
