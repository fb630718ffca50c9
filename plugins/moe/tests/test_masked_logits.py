from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import OptionError
from tropism_moe.projection import mask_logits

seeds = st.integers(0, 2**32)
quick = settings(deadline=None, max_examples=40, derandomize=True)


@quick
@given(st.integers(1, 9), st.integers(1, 5), seeds, st.booleans())
def test_masked_logits_are_the_probabilities_given_what_is_allowed(actions, rows, seed, shared):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((rows, actions)) * 5
    mask = rng.random((rows, actions)) < 0.5
    mask[range(rows), rng.integers(0, actions, rows)] = True
    mask = np.repeat(mask[:1], rows, 0) if shared else mask
    logits[~mask] = rng.choice([np.nan, np.inf, -np.inf, 3.0], (~mask).sum())
    given_ = torch.from_numpy(mask[0] if shared else mask)
    found = mask_logits(torch.from_numpy(logits), given_).numpy()
    for i in range(rows):
        total = sum(np.exp(logits[i, j]) for j in range(actions) if mask[i, j])
        for j in range(actions):
            expected = logits[i, j] - np.log(total) if mask[i, j] else -np.inf
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_masked_logits_are_idempotent_and_pass_gradients_to_what_is_allowed_only():
    logits = torch.randn(3, 5, requires_grad=True)
    mask = torch.tensor([True, False, True, True, False])
    found = mask_logits(logits, mask)
    torch.testing.assert_close(mask_logits(found, mask), found)
    (-found[:, 0]).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[:, ~mask] == 0).all()
    assert (logits.grad[:, mask] != 0).all()


@pytest.mark.parametrize(
    ("logits", "mask", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([[1, 1, 1], [0, 0, 0]]).bool(), r"row \(1,\) has no allowed action"),
        (torch.tensor([0.0, torch.nan]), torch.tensor([True, True]), r"row \(\) .* best is nan"),
        (torch.tensor([0.0, -torch.inf]), torch.tensor([False, True]), r"row \(\) .* best is -inf"),
        (torch.tensor([0.0, torch.inf]), torch.tensor([False, True]), r"row \(\) .* best is inf"),
        (torch.zeros(2, 3), torch.ones(2, 3), r"mask is torch.float32\[2, 3\]; torch.bool\[2, 3\]"),
        (torch.zeros(2, 3), torch.ones(2, 1).bool(), r"mask is torch.bool\[2, 1\]"),
    ],
)  # fmt: skip
def test_masks_that_leave_nothing_are_refused(logits, mask, message):
    with pytest.raises(OptionError, match=message):
        mask_logits(logits, mask)
