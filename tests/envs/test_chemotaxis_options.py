"""What Chemotaxis refuses, and what it says: the field, the value, the range."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest

from tropism.envs.chemotaxis.development import Development, Ramp, make_development
from tropism.envs.chemotaxis.levels import make_params
from tropism.envs.chemotaxis.tables import gradient_table
from tropism.errors import OptionError, UnknownNameError

WRONG = [
    ({"width": 0}, r"width must be an integer in \[1, 256\], got 0"),
    ({"height": 2.0}, r"height must be an integer in \[1, 256\], got 2.0"),
    ({"steps": 0}, r"steps must be an integer in \[1, 16384\], got 0"),
    ({"num_sources": 0}, r"num_sources must sum to \[1, 16\], got 0"),
    ({"num_sources": (1, 2)}, r"num_sources must be one integer >= 0 for each of 1 kinds"),
    ({"num_harmful": 5}, r"num_harmful must be an integer in \[0, 4\], got 5"),
    ({"num_sources": 1, "num_harmful": 2}, r"num_harmful must be an integer in \[0, 1\], got 2"),
    ({"energy_decay": -0.1}, r"energy_decay must be a number in \[0, 1\], got -0.1"),
    ({"energy_gain": True}, r"energy_gain must be a number in \[0, 1\], got True"),
    ({"energy_init": 0.0}, r"energy_init must be at least 1/6400, got 0.0"),
    ({"harm": float("nan")}, r"harm must be a number in \[0, 1\], got nan"),
    ({"gradient_dropout": 1.5}, r"gradient_dropout must be a number in \[0, 1\], got 1.5"),
    ({"obs_noise": -1}, r"obs_noise must be a number in \[0, 10\], got -1"),
    ({"sensing_range": -1}, r"sensing_range must be an integer in \[0, 1000\], got -1"),
    ({"informed": 1}, r"informed must be true or false, got 1"),
    ({"respawn_delay": 3}, r"respawn_delay=3 means nothing on L0.2: it needs deplete"),
    ({"harmful_deplete_p": 0.5}, r"harmful_deplete_p=0.5 means nothing on L0.2"),
    ({"deplete": True, "respawn_delay": -1}, r"respawn_delay must be an integer in \[0, 10000\]"),
    ({"steps": 16384, "energy_gain": 1.0}, r"could bring a return above 131072"),
    ({"max_episode_steps": 0}, r"max_episode_steps must be an integer in \[1, 1073741824\], got 0"),
    ({"zone_drain": 0.1}, r"zone_drain=0.1 means nothing on L0.2: it needs zones"),
    ({"walls": 21}, r"walls must be an integer in \[0, 20\], got 21"),
    ({"zones": 1, "zone_size": (4, 4)}, r"zone_size must be two integers in \[1, 64\] and \[1, 1\]"),
    ({"storms": True, "storm_gap": (9, 3)}, r"storm_gap must be \(least, most\) with least <= most"),
    ({"storms": True, "shelter_size": (1,)}, r"shelter_size must be two integers"),
    ({"layout_period": 2}, r"layout_period needs a grid of at least 2 x 2, got \(64, 1\)"),
    ({"development": 3}, r"development must be a mapping of ramps"),
    ({"development": {"motor": (0, 1, 0.5, 0.4)}}, r"'motor' must have 0 <= start <= end <= 1"),
    ({"development": {"motor": (0, 2)}}, r"'motor' must have low and high in \[0, 1\]"),
    ({"development": {"motor": "fast"}}, r"'motor' must be \(low, high, start, end\), got 'fast'"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_wrong_parameter_is_named(given, message):
    with pytest.raises(OptionError, match=message):
        make_params("L0.2", **given)


def test_unknown_names_suggest_near_ones():
    with pytest.raises(UnknownNameError, match=r"level 'L0.3'.*L0"):
        make_params("L0.3")
    with pytest.raises(UnknownNameError, match="energy_gain"):
        make_params("L0.2", energy_gains=1)
    with pytest.raises(UnknownNameError, match="gradient_gain"):
        make_params("L0.2", development={"gradient_gains": (0, 1)})


def test_what_a_family_draws_cannot_be_chosen():
    with pytest.raises(OptionError, match=r"harm=0\.3 means nothing on L5\.0: each episode draws"):
        make_params("L5.0", harm=0.3)
    with pytest.raises(UnknownNameError, match="Chemotaxis option 'family'"):
        make_params("L0.2", family=True)


OPTIONS = [
    ({"position": (64, 0)}, r"'position' must be integers of shape \(2,\) in \[0, 63 or 0\]"),
    ({"position": 3}, r"'position' must be integers of shape \(2,\)"),
    ({"sources": [(1, 0)]}, r"'sources' must be integers of shape \(4, 2\)"),
    ({"sources": [[1, 0], [1]]}, r"'sources' must be integers of shape \(4, 2\)"),
    ({"harmful": [0, 1, 0, 1]}, r"'harmful' must be booleans of shape \(4,\)"),
    ({"energy": 1.1}, r"'energy' must be numbers of shape \(\) in \[0, 1\].*, got 1.1"),
    ({"integrity": "full"}, r"'integrity' must be numbers of shape \(\) in \[0, 1\].*, got 'full'"),
    ({"energy": float("nan")}, r"'energy' must be numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), OPTIONS)
def test_a_wrong_reset_option_is_named(given, message):
    single = gym.make("tropism/Chemotaxis-L0.2-v0")
    lanes = gym.make_vec("tropism/Chemotaxis-L0.2-v0", 3)
    for env in (single, lanes):
        with pytest.raises(OptionError, match=message):
            env.reset(options=given)
    with pytest.raises(OptionError, match="or one for each of the 3 lanes"):
        lanes.reset(options=given)


def test_an_unknown_reset_option_suggests_a_near_one():
    with pytest.raises(UnknownNameError, match="position"):
        gym.make("tropism/Chemotaxis-L0.2-v0").reset(options={"positions": (0, 0)})


def test_a_vector_renders_nothing():
    with pytest.raises(OptionError, match="render_mode must be None"):
        gym.make_vec("tropism/Chemotaxis-L0.2-v0", 2, render_mode="rgb_array")


def test_ramps_are_smoothsteps_of_the_phase():
    values = Ramp(0.2, 1.0, 0.25, 0.75).values(129)
    assert (values[:33] == 0.2).all()
    assert (values[96:] == 1.0).all()
    assert values[64] == pytest.approx(0.6)
    assert (np.diff(values) >= 0).all()
    assert (Ramp(0.2, 1.0, 0.5, 0.5).values(9) == 1.0).all()
    assert Ramp(0.0, 1.0).values(1).tolist() == [0.0]


def test_development_is_json_and_grows_up():
    given = json.loads(json.dumps({"gradient_gain": (0.5, 2.0, 0.0, 0.5), "motor": [0.1, 0.9]}))
    grown = make_development(given)
    assert grown == Development(gradient_gain=Ramp(0.5, 2.0, 0.0, 0.5), motor=Ramp(0.1, 0.9))
    assert grown.adult.gradient_gain.values(3).tolist() == [2.0] * 3
    assert grown.adult.hazards is None
    assert make_params("L0.2", development=given).development == grown


def test_the_gradient_is_normalised_then_rounded_then_amplified():
    grown = Development(gradient_gain=Ramp(2.0, 2.0), gradient_bins=Ramp(2.0, 2.0))
    table = gradient_table(5, grown, 7)
    assert table.shape == (7, 9)
    assert table[0].tolist() == [-2, -2, -1, 0, 0, 0, 1, 2, 2]  # -.75 and .25 go to the even half
    assert gradient_table(5, None, 7).tolist() == [[-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]]
    assert gradient_table(1, None, 7).tolist() == [[0.0]]
