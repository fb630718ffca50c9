from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism_council.backbone import Backbone, within
from tropism_council.blocks import NEVER

FEW = settings(deadline=None, max_examples=20, derandomize=True)
WIDTH, HEADS, LAYERS, WINDOW = 16, 2, 2, 5


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    backbone = Backbone(WIDTH, LAYERS, HEADS, WINDOW)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return backbone.requires_grad_(False)


def tokens(lanes, steps, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(lanes, steps, WIDTH, generator=rng)
    return x, torch.rand(lanes, steps, generator=rng) * 2 - 1


def at_once(backbone, x, p):
    """Latents of lanes that read everything in one pass."""
    new = torch.ones(x.shape[:2], dtype=torch.bool)
    return backbone(x, p, backbone.begin(len(x)), new)[0]


def in_pieces(backbone, x, p, counts):
    """Latents of lanes that read ``counts[i][b]`` positions each time, and the stream at the end."""
    stream, found = backbone.begin(len(x)), [[] for _ in x]
    done = [0] * len(x)
    for count in counts:
        width = max(count)
        part = torch.full((len(x), width, WIDTH), 7.0)  # what a gap holds must not matter
        plastic = torch.full((len(x), width), 0.9)
        for b, n in enumerate(count):
            part[b, width - n :] = x[b, done[b] : done[b] + n]
            plastic[b, width - n :] = p[b, done[b] : done[b] + n]
        new = torch.arange(width) >= width - torch.tensor(count)[:, None]
        latents, _, stream, _ = backbone(part, plastic, stream, new)
        for b, n in enumerate(count):
            found[b].append(latents[b, width - n :])
            done[b] += n
    return [torch.cat(lane) for lane in found], stream


@FEW
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_pieces_of_any_length_equal_the_whole(backbone, cuts):
    x, p = tokens(2, sum(cuts))
    found, stream = in_pieces(backbone, x, p, [[n, n] for n in cuts])
    torch.testing.assert_close(torch.stack(found), at_once(backbone, x, p), rtol=0, atol=1e-5)
    assert stream.count.tolist() == [sum(cuts)] * 2


@FEW
@given(st.lists(st.tuples(*[st.integers(1, 9)] * 3), min_size=1, max_size=5))
def test_lanes_may_read_different_numbers_of_positions_at_a_time(backbone, counts):
    totals = [sum(lane) for lane in zip(*counts, strict=True)]
    x, p = tokens(3, max(totals), 1)
    found, _ = in_pieces(backbone, x, p, counts)
    whole = at_once(backbone, x, p)
    for b, total in enumerate(totals):
        torch.testing.assert_close(found[b], whole[b, :total], rtol=0, atol=1e-5)


def test_a_step_costs_a_window_however_long_the_stream(backbone):
    x, p = tokens(1, 40)
    stream = backbone.begin(1)
    for t in range(40):
        _, context, stream, _ = backbone(
            x[:, t : t + 1], p[:, t : t + 1], stream, torch.ones(1, 1, dtype=torch.bool)
        )
        assert context.latents.shape[1] <= WINDOW + 1
        assert all(cache.keys.shape[2] <= WINDOW for cache in stream.caches)


def test_what_comes_later_changes_nothing_before(backbone):
    x, p = tokens(2, 12)
    before = at_once(backbone, x, p)
    x[:, 7] += 1
    p[:, 7] *= -1
    after = at_once(backbone, x, p)
    torch.testing.assert_close(after[:, :7], before[:, :7], rtol=0, atol=0)
    assert (after[:, 7:10] - before[:, 7:10]).abs().amin(dim=(0, 1)).max() > 1e-3


def test_the_stream_reaches_layers_times_window_less_one_positions_back_and_no_further(backbone):
    x, p = tokens(1, 30)
    before = at_once(backbone, x, p)
    x[:, 10] += 1
    moved = (at_once(backbone, x, p) - before).abs().amax(-1)[0] > 1e-6
    assert moved.nonzero()[:, 0].tolist() == list(range(10, 10 + LAYERS * (WINDOW - 1) + 1))


def test_lanes_do_not_touch_one_another(backbone):
    x, p = tokens(3, 8)
    whole = at_once(backbone, x, p)
    alone = torch.cat([at_once(backbone, x[b : b + 1], p[b : b + 1]) for b in range(3)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-5)
    x[1] = 0
    torch.testing.assert_close(at_once(backbone, x, p)[[0, 2]], whole[[0, 2]], rtol=0, atol=0)


def test_forgetting_begins_exactly_the_lanes_of_the_mask(backbone):
    x, p = tokens(3, 14)
    new = torch.ones(3, 7, dtype=torch.bool)
    _, _, stream, _ = backbone(x[:, :7], p[:, :7], backbone.begin(3), new)
    mask = torch.tensor([False, True, False])
    found, context, _, _ = backbone(x[:, 7:], p[:, 7:], stream.forget(mask), new)
    torch.testing.assert_close(
        found[[0, 2]], at_once(backbone, x, p)[[0, 2], 7:], rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        found[1:2], at_once(backbone, x[1:2, 7:], p[1:2, 7:]), rtol=0, atol=1e-5
    )
    assert (context.where[1] >= 0).sum() == 7
    assert context.where[1, -7:].tolist() == list(range(7))


def test_detached_streams_carry_values_and_no_gradient(backbone):
    x, p = tokens(1, 6)
    x.requires_grad_()
    _, _, stream, _ = backbone(x, p, backbone.begin(1), torch.ones(1, 6, dtype=torch.bool))
    parts = [*stream.caches[0], *stream.caches[1], stream.latents]
    assert all(part.requires_grad for part in parts)
    cut = stream.detach()
    kept = [*cut.caches[0], *cut.caches[1], cut.latents]
    assert not any(part.requires_grad for part in kept)
    for before, after in zip(parts, kept, strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_a_window_holds_the_present_and_what_is_near_and_there():
    where, others = torch.tensor([[4, 9]]), torch.tensor([[NEVER, 1, 2, 4, 5, 9]])
    assert within(where, others, 3)[0].int().tolist() == [[0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]]
