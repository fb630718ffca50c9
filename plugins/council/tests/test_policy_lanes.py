from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from plugins.council.tests.playing import LANES, STEPS, over_time, play, random_gates


def off(one, other):
    """How far numbers are from others: relative where those exceed 1, absolute elsewhere; the greatest."""
    return (np.abs(one - other) / np.maximum(1, np.abs(other))).max()


@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
@pytest.mark.parametrize("name", ["Switch", "Hop"])
def test_lanes_do_not_touch_one_another(policy, tier, name, dtype, least, request):
    """To rounding: a product of matrices may round otherwise for another number of lanes, and in float64 by much less."""
    request.addfinalizer(partial(torch.set_default_dtype, torch.get_default_dtype()))
    torch.set_default_dtype(dtype)
    one, gates = policy(name, edit_rate=0.01), random_gates()
    together, _ = play(one, tier(name), gates)
    assert (over_time(together, "edit") > 0).any(1).sum() > 1
    for lane in range(LANES):
        alone, _ = play(one, tier(name), gates[lane : lane + 1], lanes=1, seed=10_000 + lane)
        for a, b in zip(alone, together, strict=True):
            assert off(a.log_probs[0], b.log_probs[lane]) < least
            assert off(a.diagnostics["score"][0], b.diagnostics["score"][lane]) < least


def test_a_lane_that_is_reset_forgets_everything_and_the_others_nothing(policy, tier):
    one, gates = policy(edit_rate=0.1), random_gates()
    straight, shown = play(one, tier("Switch"), gates)
    fresh, begun = play(one, tier("Switch"), gates, seed=20_000)
    one.reset(np.ones(LANES, np.bool_), np.zeros(LANES, np.uint64))
    half = STEPS // 2
    mask = np.arange(LANES) == 1
    for t in range(half):
        one.act(shown[t], {}, gates[:, t])
    one.reset(mask, np.zeros(LANES, np.uint64))
    for t in range(half, STEPS):
        mixed = {key: shown[t][key].copy() for key in shown[t]}
        for key in mixed:
            mixed[key][1] = begun[t - half][key][1]
        gate = np.where(mask, gates[:, t - half], gates[:, t])
        found = one.act(mixed, {}, gate)
        for name in ("score", "surprise", "entropy"):
            wanted = np.where(
                mask, fresh[t - half].diagnostics[name], straight[t].diagnostics[name]
            )
            np.testing.assert_allclose(found.diagnostics[name], wanted, atol=1e-4)
        said = np.where(mask[:, None], fresh[t - half].log_probs, straight[t].log_probs)
        np.testing.assert_allclose(found.log_probs, said, atol=1e-5)


def test_another_number_of_lanes_begins_anew(policy, tier):
    one = policy()
    before, _ = play(one, tier("Switch"), lanes=3)
    play(one, tier("Switch"), lanes=5)
    after, _ = play(one, tier("Switch"), lanes=3)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.log_probs, b.log_probs)


def test_it_says_what_is_missing_before_the_first_reset(policy, tier):
    one = policy()
    _, shown = play(one, tier("Switch"))
    one.forget()
    with pytest.raises(RuntimeError, match=r"act\(\) before reset\(\); call policy.reset"):
        one.act(shown[0], {})


def test_what_is_remembered_does_not_grow_with_the_episode(policy, tier):
    one = policy()
    play(one, tier("Switch"), steps=60)
    state = one.lanes.state
    assert state.stream.latents.shape[1] == 8
    assert state.ring.slots.shape[1] == 5
