from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import OptionError, UnsupportedTaskError
from tropism_moe.choices import Choices
from tropism_moe.constraints import Constraints, masked, read_sides
from tropism_moe.projection import PolytopeError
from tropism_moe.projection_kernel import inside

quick = settings(deadline=None, max_examples=40, derandomize=True)


def world(seed, dtype=np.float32):
    """A box of 1 to 5 numbers, and constraints that its middle satisfies."""
    rng = np.random.default_rng(seed)
    n, count = int(rng.integers(1, 6)), int(rng.integers(1, 8))
    low = rng.uniform(-1e3, 0, n).astype(dtype)
    high = (low + rng.uniform(0.5, 2e3, n)).astype(dtype)
    normals = rng.standard_normal((count, n)) * 10 ** rng.uniform(-2, 2, (count, 1))
    middle = (low.astype(np.float64) + high) / 2
    bounds = normals @ middle + np.linalg.norm(normals, axis=1) * rng.uniform(0.05, 0.5, count)
    box = spaces.Box(low, high, dtype=dtype)
    return box, {"normals": normals.tolist(), "bounds": bounds.tolist()}, rng


def violation(actions, sides):
    """The most by which a constraint is exceeded, in float64."""
    return np.max(
        np.asarray(actions, np.float64) @ np.transpose(sides["normals"]) - sides["bounds"]
    )


@quick
@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
def test_no_action_violates_a_constraint_as_summed_term_by_term(seed, dtype):
    box, sides, rng = world(seed, dtype)
    constraints = Constraints(box, sides)
    asked = rng.uniform(box.low, box.high, (50, *box.shape)).astype(dtype)
    asked[0], asked[1] = box.low, box.high
    found = constraints.allow(asked)
    assert found.dtype == dtype
    assert all(box.contains(a) for a in found)
    normals, bounds = np.array(sides["normals"]), np.array(sides["bounds"])
    assert all(inside(a.astype(np.float64), normals, bounds) for a in found)
    allowed = [inside(a.astype(np.float64), normals, bounds) for a in asked]
    assert (found[allowed] == asked[allowed]).all()
    np.testing.assert_array_equal(constraints.allow(found), found)
    for row, alone in zip(found, asked, strict=True):  # a lane has the bits that it has alone
        np.testing.assert_array_equal(constraints.allow(alone[None])[0], row)


def test_the_nearest_allowed_action_is_taken_in_any_shape():
    box = spaces.Box(-1, 1, (2, 2), np.float32)
    constraints = Constraints(box, {"normals": [[1, 0, 0, 1]], "bounds": [0.5]})
    asked = np.array([[[0.9, 0.3], [-0.7, 0.6]], [[0.1, 1.0], [1.0, 0.2]]], np.float32)
    found = constraints.allow(asked)
    np.testing.assert_array_equal(found[1], asked[1])
    np.testing.assert_allclose(found[0], [[0.4, 0.3], [-0.7, 0.1]], atol=1e-3)


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_file_is_read(tmp_path):
    sides = {"normals": [[1.0, 2.0]], "bounds": [3.0]}
    assert read_sides(written(tmp_path / "c.json", {**sides, "note": "more"})) == sides


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"c\.json gives none .*missing"),
        ("{", r"c\.json gives none .*damaged"),
        ({"normals": [[1]]}, r"gives none \('bounds'\)"),
    ],
)
def test_a_file_that_gives_none_is_named(tmp_path, content, message):
    if content is not None:
        written(tmp_path / "c.json", content)
    with pytest.raises(OptionError, match=message):
        read_sides(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("sides", "error", "message"),
    [
        ({"normals": [[1.0]], "bounds": [1]}, OptionError, r"normals \(1, 1\) and bounds \(1,\); \(H, 2\)"),
        ({"normals": [[1.0, 0.0]], "bounds": [1, 2]}, OptionError, r"bounds \(2,\)"),
        ({"normals": [[1.0], [1.0, 2.0]], "bounds": [1, 2]}, OptionError, "cannot be read"),
        ({"normals": "many", "bounds": [1]}, OptionError, "cannot be read"),
        ({"normals": [[1.0, float("nan")]], "bounds": [1]}, OptionError, "not finite"),
        ({"normals": [[1.0, 0.0], [-1.0, 0.0]], "bounds": [-0.5, -0.5]}, PolytopeError, "no interior"),
        ({"normals": [[1.0, 1.0]], "bounds": [-5]}, PolytopeError, "no interior"),
    ],
)  # fmt: skip
def test_sides_that_do_not_fit_are_refused(sides, error, message):
    with pytest.raises(error, match=message):
        Constraints(spaces.Box(-1, 1, (2,), np.float32), sides)


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Box(0, 9, (2,), np.int64)])
def test_other_actions_have_no_constraints(space):
    with pytest.raises(UnsupportedTaskError, match="need actions of a Box of floating point"):
        Constraints(space, {"normals": [[1.0, 1.0]], "bounds": [1.0]})


# Masks


def test_what_a_mask_forbids_has_no_probability_and_lanes_without_a_mask_are_free():
    choices = Choices(spaces.Discrete(4))
    outputs = np.array([[3, 2, 1, 0]] * 3, np.float32)
    info = {
        "action_mask": np.array([[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], np.int8),
        "_action_mask": np.array([True, False, True]),
    }
    found = masked(outputs, info, choices)
    assert found.argmax(1).tolist() == [1, 0, 0]
    assert np.isinf(found[0]).tolist() == [True, False, False, True]
    np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(
        masked(outputs[:2], info, choices, np.array([0, 2])), found[[0, 2]]
    )
    assert masked(outputs, {}, choices) is outputs


def test_every_choice_has_a_mask_of_its_own():
    choices = Choices(spaces.MultiDiscrete([2, 3]))
    found = masked(
        np.array([[1, 0, 0, 1, 2]], np.float32),
        {"action_mask": np.array([[0, 1, 1, 1, 0]])},
        choices,
    )
    assert choices.best(found).tolist() == [[1, 1]]


def test_a_box_has_no_mask():
    box = Choices(spaces.Box(-1, 1, (2,), np.float32))
    outputs = np.zeros((1, 2), np.float32)
    assert masked(outputs, {"action_mask": np.zeros((1, 2))}, box) is outputs


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(3), r"shape \(3,\); \(lanes, 3\)"),
        (np.ones((1, 4)), r"shape \(1, 4\)"),
        (np.zeros((1, 3)), "has no allowed action"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask, message):
    with pytest.raises(OptionError, match=message):
        masked(np.zeros((1, 3), np.float32), {"action_mask": mask}, Choices(spaces.Discrete(3)))
