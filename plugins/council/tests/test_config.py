from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tropism.agents.options import build_config
from tropism.errors import OptionError, UnknownNameError
from tropism_council.config import CouncilConfig


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("width", 4, "an integer in [8, 4096]"),
        ("width", 64.0, "an integer in [8, 4096]"),
        ("layers", 0, "an integer in [1, 64]"),
        ("heads", True, "an integer in [1, 64]"),
        ("window", 1, "an integer in [2, 4096]"),
        ("slots", -1, "an integer in [0, 4096]"),
        ("voices", 0, "an integer in [1, 64]"),
        ("ponder_steps", 65, "an integer in [1, 64]"),
        ("lanes", "many", "an integer in [1, 65536]"),
        ("stretch", 1, "an integer in [2, 4096]"),
        ("questions", 0, "an integer in [1, 4096]"),
        ("learning_rate", 0.0, "a number in [1e-06, 1.0]"),
        ("learning_rate", float("nan"), "a number in [1e-06, 1.0]"),
        ("ponder_prior", 1.0, "a number in [0.01, 0.99]"),
        ("ponder_weight", -0.1, "a number in [0.0, 10.0]"),
        ("distil_weight", None, "a number in [0.0, 10.0]"),
        ("value_weight", 11, "a number in [0.0, 10.0]"),
        ("teacher_decay", 1.0, "a number in [0.0, 0.9999]"),
        ("edit_rate", 0, "a number in [1e-06, 1.0]"),
        ("online", 1, "true or false"),
        ("online", "no", "true or false"),
        ("share", 1.5, "a number in [0.0, 1.0]"),
        ("checkpoint_every", 0, "an integer in [1, "),
        ("threads", 0, "an integer in [1, 1024]"),
    ],
)
def test_values_out_of_range_are_named_with_their_range(field, value, expected):
    message = f"^{field} must be {re.escape(expected)}.*got {re.escape(repr(value))}$"
    with pytest.raises(OptionError, match=message):
        CouncilConfig(**{field: value})


def test_settings_that_do_not_fit_together_are_named():
    with pytest.raises(OptionError, match="width must be a multiple of 4 \\* heads = 20, got 64"):
        CouncilConfig(heads=5)
    with pytest.raises(OptionError, match="questions must be <= stretch = 4, got 5"):
        CouncilConfig(stretch=4, questions=5)


def test_names_that_do_not_exist_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'surprise'"):
        CouncilConfig(signals="surprises")
    with pytest.raises(UnknownNameError, match="'likelihood'"):
        CouncilConfig(ponder_loss="likelihoods")
    with pytest.raises(UnknownNameError, match="'ponder_steps'"):
        build_config(CouncilConfig, {"ponder_step": 2}, owner="agent 'council'")


def test_every_setting_is_explained_and_kept_by_a_trip_through_its_dictionary():
    text = CouncilConfig.__doc__ or ""
    for field in dataclasses.fields(CouncilConfig):
        assert re.search(rf"^ +{field.name}: \S", text, re.MULTILINE), field.name
    config = CouncilConfig(width=32, share=0.5, distil_weight=0)
    assert build_config(CouncilConfig, dataclasses.asdict(config), owner="x") == config


def test_the_readme_tells_every_setting_with_its_default():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", text, re.MULTILINE)
    defaults = {f.name: f"{f.default}" for f in dataclasses.fields(CouncilConfig)}
    assert {name: value for name, value in rows if name in defaults} == defaults
