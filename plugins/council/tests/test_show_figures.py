from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from tropism.agents.contract import Decision, Policy, Task
from tropism.agents.episodes import Episode
from tropism_council.show import one_thread
from tropism_council.show_draw import spread, ticks
from tropism_council.show_figures import (
    OFFSETS,
    TABLE,
    alignment,
    around_switches,
    band,
    by_depth,
    figure,
    mean_of,
    reliability,
)
from tropism_council.show_play import Life, play, with_gains
from tropism_council.show_words import verdict

SWITCH = "tropism/PatternWorld-Switch-v0"


def life(length=40, switches=(), thinks=None, loss=None, told=None, **labels):
    """An episode made by hand; the right answer is always 0, and so is the action."""
    switched = np.isin(np.arange(length), list(switches))
    given = {"switched": switched, "target": np.zeros(length, np.int64), **labels}
    gated = np.zeros(length, np.bool_) if thinks is None else np.asarray(thinks, np.bool_)
    episode = Episode(
        seed=1,
        reward=np.ones(length),
        action=np.zeros(length, np.int64),
        compute=1 + 4 * gated.astype(np.int64),
        gated=gated,
        labels=given,
        target_log_prob=None if loss is None else -np.asarray(loss, np.float32),
        action_hash="0123456789abcdef",
    )
    return Life(episode, told or {})


def test_words_say_only_what_the_numbers_show():
    rng = np.random.default_rng(1)
    switches = range(15, 600, 15)
    since = life(600, switches).since
    spiking = np.where(since == 0, 4.0, 0.2) + rng.random(600) / 10
    awake = life(600, switches, (since >= 1) & (since <= 3), spiking)
    said = "".join(verdict([awake], 0.1))
    assert "The loss spikes at switches: 0.2" in said
    assert "System 2 wakes there: it answers 100% of the steps 1 to 3 after one and 0%" in said
    flat = life(600, switches, rng.random(600) < 0.5, 1 + rng.random(600) / 10)
    said = "".join(verdict([flat], 0.1))
    assert "does not spike" in said
    assert "does not wake" in said
    asleep = life(600, switches, (since > 10), spiking)
    assert "does not wake" in "".join(verdict([asleep], 0.1))


class Counting(Policy):
    """Tells seed and step of its episode."""

    def __init__(self, max_lanes):
        self.max_lanes = max_lanes

    def reset(self, mask, seeds):
        if not hasattr(self, "step") or len(self.step) != len(mask):
            self.step, self.seed = np.zeros(len(mask), np.int64), np.zeros(len(mask), np.int64)
        self.step[mask], self.seed[mask] = 0, seeds[mask]

    def act(self, observation, info, gate=None):
        told = {
            "step": self.step.copy(),
            "seed": self.seed.copy(),
            "wide": np.ones((len(self.step), 2)),
        }
        self.step += 1
        action = np.zeros(len(self.step), np.int64)
        return Decision(action, np.ones(len(self.step), np.int64), None, told)

    def save(self, directory):
        raise NotImplementedError


@pytest.mark.parametrize("lanes", [None, 1, 2])
def test_diagnostics_are_those_of_the_episode_however_many_lanes_play(lanes):
    lives = play(Counting(lanes), Task(SWITCH, {"max_episode_steps": 7}), range(50, 55))
    assert [one.episode.seed for one in lives] == list(range(50, 55))
    for one in lives:
        assert one.told["step"].tolist() == list(range(7))
        assert set(one.told["seed"].tolist()) == {one.episode.seed}
        assert "wide" not in one.told


def test_curves_are_aligned_at_switches_and_end_where_another_regime_begins():
    one = life(40, (8, 11), loss=np.arange(40.0))
    rows = around_switches([one], lambda x: x.loss)
    first = [np.nan if not 0 <= 8 + o < 11 else 8.0 + o for o in OFFSETS]
    second = [np.nan if not 8 <= 11 + o < 40 else 11.0 + o for o in OFFSETS]
    np.testing.assert_array_equal(rows, [first, second])
    found = band(rows)
    assert found.mean[OFFSETS == 0] == (8 + 11) / 2
    assert found.mean[OFFSETS == 5] == 16
    assert found.low[OFFSETS == 0] == 8
    assert found.high[OFFSETS == 0] == 11


def test_the_band_is_that_of_the_mean():
    rows = np.random.default_rng(0).normal(3, 2, (400, 2))
    found = band(rows, (0, 1))
    error = rows.std(0) / 20
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 * error, rtol=0.2)
    np.testing.assert_allclose(found.mean, rows.mean(0))


def test_alignment_is_the_chance_that_compute_tells_steps_apart():
    rng = np.random.default_rng(2)
    one = life(300, range(20, 300, 11), rng.random(300) < 0.4)
    units = one.episode.compute[one.since >= 0]
    wanted = ((one.since >= 1) & (one.since <= 3))[one.since >= 0]
    pairs = units[wanted][:, None] - units[~wanted][None, :]
    assert alignment([one]) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert np.isnan(alignment([life(10)]))


def test_shares_are_those_of_their_steps():
    one = life(50, (10, 30), np.isin(np.arange(50), [11, 12, 13, 24, 31]))
    values = {name: statistic([one]) for name, statistic in TABLE.items()}
    assert values["System 2 on steps 1 to 3 after a switch"] == pytest.approx(4 / 6)
    stable = [name for name in values if "stable" in name]
    assert values[stable[0]] == pytest.approx(1 / 18)  # 21 to 29 and 41 to 49
    assert values["System 2 on all steps"] == pytest.approx(0.1)
    assert values["accuracy"] == 1
    assert np.isnan(values["loss, nats"])


def test_an_interval_of_figures_is_one_over_episodes():
    lives = [life(10, loss=np.full(10, v)) for v in (1.0, 2.0, 3.0, 4.0)]
    found = figure(lives, mean_of(lambda x: x.loss))
    assert found.value == 2.5
    assert 1 <= found.low < 2.5 < found.high <= 4


def test_gains_are_not_told_where_different_things_were_shown():
    own, other = life(9, loss=np.ones(9)), life(9, loss=np.ones(9) + 0.1)
    (found,) = with_gains([own], [own], [other]) or [own]
    assert found.told["gain"] == pytest.approx(np.exp(-1.1) - np.exp(-1))
    assert with_gains([own], [other], [own]) is None
    assert with_gains([own], [own], [life(8, loss=np.ones(8))]) is None
    assert with_gains([own], [own], [life(9)]) is None


@pytest.mark.parametrize("name", ["expected_gain", "score"])
@pytest.mark.parametrize("paired", [True, False])
def test_reliability_finds_the_gain_that_is_there(paired, name):
    rng = np.random.default_rng(3)
    expected = rng.uniform(0, 1, 20_000)
    thinks = rng.random(20_000) < 0.5
    gain = 0.6 * expected - 0.2 + rng.uniform(-0.05, 0.05, 20_000)
    chance = rng.uniform(0.26, 0.46, 20_000) + gain * thinks
    told = {"score": rng.random(20_000), name: expected} | ({"gain": gain} if paired else {})
    found = reliability([life(20_000, thinks=thinks, loss=-np.log(chance), told=told)])
    assert found is not None
    assert found.paired is paired
    assert found.name == name
    assert found.counts.sum() == 20_000
    assert len(found.counts) == 8
    truth = 0.6 * found.gain.x - 0.2
    assert ((found.gain.low <= truth) & (truth <= found.gain.high)).sum() >= 6
    assert abs(found.gain.mean - truth).max() < (0.003 if paired else 0.01)
    assert (found.gain.high - found.gain.low).max() < (0.004 if paired else 0.02)


def test_without_a_score_nothing_is_said_of_it():
    assert reliability([life(10, loss=np.ones(10))]) is None
    assert reliability([life(10, told={"score": np.ones(10)})]) is None


def test_depth_is_told_where_questions_differ_in_it():
    k = np.arange(60) % 4
    found = by_depth([life(60, required_compute=k)], lambda _: np.float64(3) * k)
    assert found is not None
    np.testing.assert_array_equal(found.x, [0, 1, 2, 3])
    np.testing.assert_array_equal(found.mean, [0, 3, 6, 9])
    assert by_depth([life(60, required_compute=np.ones(60))], lambda x: x.right) is None
    assert by_depth([life(60)], lambda x: x.right) is None


def test_threads_are_as_they_were_after_playing():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with contextlib.suppress(ValueError), one_thread():
            assert torch.get_num_threads() == 1
            raise ValueError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_ticks_are_round_and_labels_do_not_cover_each_other():
    assert ticks(0, 1, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-5, 12, 6) == [-5, 0, 5, 10]
    placed = spread([10.0, 11.0, 12.0, 100.0], 12, 0, 200)
    assert min(np.diff(placed)) >= 12
    assert placed[-1] == 100
