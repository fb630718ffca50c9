from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from tropism.errors import OptionError, UnknownNameError
from tropism_evosax.config import PRESETS, EvoConfig, preset
from tropism_evosax.filters import Novelty, Rung, Viability

FULL = EvoConfig(
    env_kwargs={"harm": 0.5},
    controller_kwargs={"plasticity": {"modulator": "event"}},
    viability=Viability(min_entropy=0.2),
    rungs=(Rung(16, 1, 0.75), Rung()),
    novelty=Novelty(weight=0.5),
    train_seeds=(3, 9),
)


@pytest.mark.parametrize("config", [*PRESETS.values(), FULL])
def test_json_gives_the_same_config_back(config):
    assert EvoConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"population": 1}, ["population", "[2, 1000000]", "1"]),
        ({"population": 127}, ["population", "even", "openes", "127"]),
        ({"episodes": 0}, ["episodes", "[1,"]),
        ({"sigma": 0.0}, ["sigma", "[1e-06, 100.0]"]),
        ({"lr": float("nan")}, ["lr", "nan"]),
        ({"steps": 0}, ["steps", "[1,"]),
        ({"train_seeds": (5, 5)}, ["train_seeds", "(5, 5)"]),
        ({"common_episodes": 1}, ["common_episodes", "true or false"]),
        ({"devices": 3}, ["population", "devices (3)", "128"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"strategy": "evotf-es"}, ["evotf-es", "minutes"]),
    ],
)
def test_values_out_of_range_are_named(changes, words):
    with pytest.raises(OptionError) as error:
        replace(EvoConfig(), **changes)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Viability(min_alive=65),
        lambda: Rung(keep=0.0),
        lambda: Novelty(weight=1.5),
        lambda: EvoConfig.from_json({"rungs": [{"keep": 2}]}),
    ],
)
def test_filters_have_ranges_too(make):
    with pytest.raises(OptionError, match=r"\["):
        make()


@pytest.mark.parametrize(
    ("changes", "near"),
    [
        ({"strategy": "opnes"}, "openes"),
        ({"shaping": "centered-ranks"}, "centred-ranks"),
        ({"lr_schedule": "cosin"}, "cosine"),
        ({"optimizer": "adm"}, "adam"),
    ],
)
def test_unknown_names_suggest_near_ones(changes, near):
    with pytest.raises(UnknownNameError, match=near):
        replace(EvoConfig(), **changes)


def test_unknown_fields_and_presets_are_refused():
    with pytest.raises(UnknownNameError, match="population"):
        EvoConfig.from_json({"populaton": 8})
    with pytest.raises(UnknownNameError, match="origin"):
        preset("orgin")


def test_a_config_needs_no_jax():
    code = "import sys, tropism_evosax.config; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
