from __future__ import annotations

import numpy as np
import pytest

from tropism.errors import OptionError
from tropism_moe.projection import ActionPolytope, PolytopeError

SQUARE = np.vstack([np.eye(2), -np.eye(2)])


@pytest.mark.parametrize(
    ("normals", "bounds", "message"),
    [
        (SQUARE, [1, 1, -2, 1], r"4 constraints .* 2 numbers leave no interior: .* radius -0.5"),
        (SQUARE, [1, 1, -1, 1], "4 constraints .* leave no interior: .* radius"),  # flat
        (SQUARE, [1, 1, -1 + 1e-7, 1], "leave no interior: the largest ball has radius 5e-08"),
        ([[1, 0]], [1], "the 1 constraints .* leave a ball of any size"),
        ([[-1, 0], [0, -1]], [0, 0], "the 2 constraints .* leave a ball of any size"),
        ([[1, 0], [-1, 0]], [1, 1], "the 2 constraints do not bound actions of 2 numbers"),
        ([[1, 0], [-1, 0], [0, 1]], [1, 1, 0], "the 3 constraints do not bound"),
    ],
)
def test_an_empty_flat_or_unbounded_polytope_is_refused(normals, bounds, message):
    with pytest.raises(PolytopeError, match=message):
        ActionPolytope(normals, bounds)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ActionPolytope(np.eye(2), [1]), r"normals \(2, 2\) and bounds \(1,\) do not fit"),
        (lambda: ActionPolytope([1, 1], [1, 1]), "do not fit"),
        (lambda: ActionPolytope([[1, np.nan]], [1]), "not finite"),
        (lambda: ActionPolytope.box([-np.inf], [0]), "not finite"),
        (lambda: ActionPolytope([*SQUARE, [0, 0]], [1] * 5), "constraint 4 has normal zero"),
        (lambda: ActionPolytope.box([0, 0], [1]), r"low \(2,\) and high \(1,\) differ"),
        (lambda: ActionPolytope.box([0], [1]).project([[0, 0]]), r"shape \(1, 2\); \(B, 1\)"),
        (lambda: ActionPolytope.box([0], [1]).project([[0], [np.nan]]), "action 1 is nan at 0"),
        (lambda: ActionPolytope.box([0, 0], [1, 1]).project([0, -np.inf]), "action 0 is -inf at 1"),
        (lambda: ActionPolytope.box([0], [1]).contains([np.nan]), "action 0 is nan"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(OptionError, match=message):
        wrong()


def test_a_box_upside_down_is_refused():
    with pytest.raises(PolytopeError, match=r"2 constraints .*\(below 0 they contradict"):
        ActionPolytope.box([1.0], [0.0])
