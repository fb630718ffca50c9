"""What layers compute between their matrices, held against torch and against itself lane by lane."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tropism_moe.attention import BASE, attend, rotate, turns, visible
from tropism_moe.kernels_layers import attend_into, normalise_into, recur_into
from tropism_moe.recurrence import DECAY_FLOOR, Inputs, read_step

LANES = 5


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def near(found, wanted, limit=2e-6):
    wanted = np.asarray(wanted)
    assert np.abs(found - wanted).max() <= limit * np.abs(wanted).max()


@pytest.mark.parametrize("width", [1, 7, 256])
def test_rows_are_normalised_as_in_torch(width):
    x, gain, out = 30 * normal(LANES, width), normal(width, seed=1), np.empty((LANES, width), np.float32)  # fmt: skip
    x[2] = 0
    normalise_into(x, gain, 1e-6, out)
    norm = torch.nn.functional.rms_norm(torch.from_numpy(x), (width,), torch.from_numpy(gain), 1e-6)
    near(out, norm)


def recur(before, x, key, query):
    after, found = np.empty_like(before), np.empty_like(x[0])
    recur_into(before, x[0].copy(), x[1, 0], np.float32(DECAY_FLOOR), x[2], key, query, after, found)  # fmt: skip
    return after, found


@pytest.mark.parametrize(("width", "rank"), [(1, 1), (33, 5), (256, 16)])
def test_a_step_of_the_recurrence_is_that_of_torch(width, rank):
    before, x = normal(LANES, rank, width), 3 * normal(3, LANES, width, seed=1)
    x[0, 0, 0], x[0, 1, 0] = 300, -300  # a sigmoid that overflows is the floor, or 1
    key, query = normal(2, LANES, rank, seed=2)
    after, found = recur(before, x, key, query)
    logit, bias, value = map(torch.from_numpy, (x[0], x[1, 0], x[2]))
    decay = torch.sigmoid(logit + bias).clamp(min=DECAY_FLOOR)
    parts = (p[:, None] for p in (torch.from_numpy(query), torch.from_numpy(key), value, decay))
    inputs = Inputs(*parts, torch.zeros(LANES, 1, dtype=torch.bool))
    wanted, weights = read_step(inputs, torch.from_numpy(before).mT)
    near(after, weights.mT)
    near(found, wanted[:, 0], 1e-5)
    for lane in range(LANES):
        alone = slice(lane, lane + 1)
        x_alone = np.concatenate([x[:1, alone], x[1:2, :1], x[2:, alone]])
        for part, whole in zip(recur(before[alone], x_alone, key[alone], query[alone]), (after, found), strict=True):  # fmt: skip
            np.testing.assert_array_equal(part[0], whole[lane])


HEADS, GROUPS, WIDTH, WINDOW = 6, 2, 8, 4
SPEED = BASE ** (-np.arange(0, WIDTH, 2) / WIDTH)


def attended(x, lanes, count):
    """Steps ``float32[T, lanes, ...]`` of queries, keys and values, one after the other."""
    keys = np.zeros((lanes, GROUPS, WIDTH, WINDOW), np.float32)
    values, every = np.zeros((lanes, GROUPS, WINDOW, WIDTH), np.float32), []
    for t, row in enumerate(x):
        query, key, value = (np.ascontiguousarray(p) for p in np.split(row, [HEADS * WIDTH, (HEADS + GROUPS) * WIDTH], -1))  # fmt: skip
        found = np.empty_like(query)
        attend_into(query, key, value, count + t, SPEED, keys, values, found)
        every.append(found)
    return np.stack(every)


def by_torch(x):
    """The same, at once, from position 0: ``float32[T, lanes, H h]``."""
    steps, lanes, _ = x.shape
    parts = torch.from_numpy(x).transpose(0, 1).unflatten(-1, (-1, WIDTH)).transpose(1, 2)
    q, k, v = parts.split([HEADS, GROUPS, GROUPS], 1)
    position = torch.arange(steps).expand(lanes, steps)
    turn = turns(position, WIDTH, torch.float32)
    q, k = rotate(q, turn), rotate(k, turn)
    k, v = (torch.nn.functional.pad(p, (0, 0, WINDOW - 1, 0)) for p in (k, v))
    return attend(q, k, v, visible(position, WINDOW)).permute(2, 0, 1, 3).flatten(2).numpy()


def test_attention_is_that_of_torch_while_its_window_fills_and_after():
    x = 2 * normal(3 * WINDOW + 1, LANES, (HEADS + 2 * GROUPS) * WIDTH)
    found = attended(x, LANES, np.zeros(LANES, np.int64))
    near(found, by_torch(x), 1e-5)
    for lane in range(LANES):
        alone = attended(x[:, lane : lane + 1], 1, np.zeros(1, np.int64))
        np.testing.assert_array_equal(alone[:, 0], found[:, lane])


def test_what_is_far_into_an_episode_depends_on_how_far_apart_it_is_only():
    x = normal(WINDOW, LANES, (HEADS + 2 * GROUPS) * WIDTH)
    early = attended(x, LANES, np.full(LANES, WINDOW))
    late = attended(x, LANES, np.full(LANES, 10**7 * WINDOW))
    near(late[-1], early[-1], 1e-5)
