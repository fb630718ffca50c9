from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from tropism.agents.options import build_config
from tropism.agents.plugins import PluginHost
from tropism.errors import OptionError, UnknownNameError


@dataclass(frozen=True)
class Net:
    width: int = 64


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    steps: int = 3
    device: str = "cpu"
    sizes: tuple[int, ...] = (64, 64)
    pair: tuple[int, float] = (1, 2.0)
    kind: Literal["mlp", "cnn"] = "mlp"
    limit: float | None = None
    verbose: bool = False
    net: Net = field(default_factory=Net)

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps must be >= 1, got {self.steps}")


def build(**options):
    return build_config(Config, options, owner="agent 'x'")


def test_defaults():
    assert build() == build_config(Config, None, owner="x") == Config()


def test_json_values_are_fitted():
    config = build(
        rate=1, sizes=[3], pair=[1, 2], kind="cnn", limit=2, verbose=True, net={"width": 8}
    )
    assert config == Config(1.0, 3, "cpu", (3,), (1, 2.0), "cnn", 2.0, True, Net(8))
    assert isinstance(config.rate, float)
    assert build(limit=None).limit is None
    assert build(net=Net(2)).net.width == 2


def test_unknown_option_suggests():
    with pytest.raises(
        UnknownNameError, match=r"Unknown option of agent 'x' 'rats'\. Did you mean 'rate'"
    ):
        build(rats=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'width'"):
        build(net={"with": 1})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rate", "fast", "float"),
        ("rate", True, "float"),
        ("steps", 1.5, "int"),
        ("steps", True, "int"),
        ("device", 0, "str"),
        ("sizes", [1, "a"], "int"),
        ("sizes", 3, "tuple"),
        ("pair", [1], "2 items"),
        ("kind", "rnn", "mlp"),
        ("limit", "none", "float | None"),
        ("verbose", 1, "bool"),
        ("net", 3, "a table of options"),
    ],
)
def test_wrong_type_names_field_value_and_type(name, value, expected):
    with pytest.raises(OptionError) as caught:
        build(**{name: value})
    message = str(caught.value)
    assert name in message
    assert repr(value if name != "sizes" or value == 3 else "a") in message
    assert expected in message


def test_refusal_of_the_config_itself_is_chained():
    with pytest.raises(OptionError, match="steps must be >= 1, got 0") as caught:
        build(steps=0)
    assert isinstance(caught.value.__cause__, ValueError)


def test_agents_are_configured_by_name():
    host = PluginHost([], {})
    agent = host.make_agent("two-mode", {"threshold": 2}, seed=5)
    assert (agent.config.threshold, agent.seed) == (2.0, 5)
    with pytest.raises(
        UnknownNameError, match=r"option of agent 'two-mode' 'treshold'\. Did you mean 'threshold'"
    ):
        host.make_agent("two-mode", {"treshold": 2})
    with pytest.raises(OptionError, match="threshold must be >= 0 nats, got -1"):
        host.make_agent("two-mode", {"threshold": -1})
