from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize

import tropism_moe.projection as module
from tropism_moe.projection import ActionPolytope
from tropism_moe.projection_kernel import _sweep, inside, retract

seeds = st.integers(0, 2**32)
quick = settings(deadline=None, max_examples=40, derandomize=True)


def sides(rng, n, count, like=False):
    """Random half-spaces and a box around them; ``like``: half of them nearly parallel; rows of any length."""
    normals = rng.standard_normal((count, n))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    if like:
        normals[1 : count // 2] = normals[0] + 0.02 * rng.standard_normal((count // 2 - 1, n))
    normals = np.vstack([normals, np.eye(n), -np.eye(n)])
    bounds = np.r_[rng.uniform(0.5, 1.5, count), np.full(2 * n, 3.0)]
    lengths = np.power(10, rng.uniform(-2, 2, len(bounds)))
    shift = rng.standard_normal(n)
    return normals * lengths[:, None], (bounds + normals @ shift) * lengths


def vertices(normals, bounds):
    """All corners, ``float[V, n]``."""
    n, found = normals.shape[1], []
    for rows in itertools.combinations(range(len(bounds)), n):
        with np.errstate(all="ignore"):
            if np.linalg.cond(normals[list(rows)]) < 1e9:
                corner = np.linalg.solve(normals[list(rows)], bounds[list(rows)])
                if (normals @ corner <= bounds + 1e-9).all():
                    found.append(corner)
    return np.array(found)


def adversarial(rng, polytope, count):
    """Far and near, at corners and next to them, along facets, and as large as numbers get."""
    n, normals, bounds = len(polytope.centre), polytope.normals, polytope.bounds
    unit = rng.standard_normal((count, n))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    corners = vertices(normals, bounds)[rng.integers(0, len(vertices(normals, bounds)), count)]
    facet = rng.integers(0, len(bounds), count)
    square = np.square(normals[facet]).sum(1)
    flat = unit - ((unit * normals[facet]).sum(1) / square)[:, None] * normals[facet]
    on = polytope.centre + ((bounds - normals @ polytope.centre)[facet] / square)[:, None] * normals[facet]  # fmt: skip
    sizes = 10.0 ** rng.uniform(-3, 9, (count, 1))
    return np.vstack(
        [
            polytope.centre + sizes * unit,
            corners,
            corners + 1e-12 * unit,
            corners + (corners - polytope.centre) * sizes,
            on,
            on + sizes * flat,
            on + sizes * normals[facet],
            unit * 1e300,
            rng.choice([-1.0, 1.0], (count, n)) * np.finfo(np.float64).max,
        ]
    )


@pytest.mark.parametrize(
    ("n", "sides_", "like", "count"),
    [(1, 3, False, 500), (2, 8, False, 4500), (3, 8, True, 3500), (4, 10, False, 2700)],
)
def test_no_constraint_is_ever_violated_and_projecting_twice_changes_no_bit(n, sides_, like, count):
    """100,800 actions together."""
    rng = np.random.default_rng(n)
    normals, bounds = sides(rng, n, sides_, like)
    polytope = ActionPolytope(normals, bounds)
    found = polytope.project(adversarial(rng, polytope, count))
    assert found.shape == (9 * count, n)
    assert (found @ normals.T - bounds).max() <= 1e-9
    assert (np.einsum("bi,ji->bj", found, normals) - bounds).max() <= 1e-9
    assert polytope.contains(found).all()
    assert polytope.project(found).tobytes() == found.tobytes()


def test_projecting_onto_a_box_is_clipping():
    rng = np.random.default_rng(0)
    low, high = np.array([-1.0, 0.0, -3.0]), np.array([1.0, 0.5, 7.0])
    polytope = ActionPolytope.box(low, high)
    asked = rng.standard_normal((20_000, 3)) * 10.0 ** rng.uniform(-2, 4, (20_000, 1))
    found = polytope.project(asked)
    assert (found >= low).all()
    assert (found <= high).all()
    np.testing.assert_allclose(found, asked.clip(low, high), rtol=0, atol=1e-9)
    inside = polytope.contains(asked)
    assert 0 < inside.mean() < 1
    assert found[inside].tobytes() == asked[inside].tobytes()


def test_what_is_inside_comes_back_bit_for_bit_signs_of_zero_too():
    polytope = ActionPolytope.box([-1, -1], [1, 1])
    asked = np.array([[-0.0, 0.0], [1.0, -1.0], [5e-324, -5e-324], [0.1, -0.3]])
    found = polytope.project(asked)
    assert found.tobytes() == asked.tobytes()
    assert found is not asked
    single = np.array([0.1, -1.0], np.float32)
    assert polytope.project(single).tobytes() == single.astype(np.float64).tobytes()


def exact(normals, bounds, asked):
    """By trying every set of up to ``n`` constraints that may hold with equality."""
    if (normals @ asked <= bounds).all():
        return asked
    best, n = None, len(asked)
    for size in range(1, n + 1):
        for rows in map(list, itertools.combinations(range(len(bounds)), size)):
            active = normals[rows]
            if np.linalg.cond(active @ active.T) > 1e14:
                continue
            weights = np.linalg.solve(active @ active.T, active @ asked - bounds[rows])
            found = asked - active.T @ weights
            if (normals @ found <= bounds + 1e-9 * np.abs(normals).max(1)).all() and (
                best is None or np.linalg.norm(found - asked) < np.linalg.norm(best - asked)
            ):
                best = found
    return best


@quick
@given(st.integers(1, 3), st.integers(3, 7), st.booleans(), seeds, st.floats(-1, 3))
def test_the_distance_is_the_exact_one(n, count, like, seed, size):
    rng = np.random.default_rng(seed)
    normals, bounds = sides(rng, n, count, like)
    polytope = ActionPolytope(normals, bounds)
    asked = polytope.centre + 10**size * rng.standard_normal((4, n))
    for each, found in zip(asked, polytope.project(asked), strict=True):
        best = exact(normals, bounds, each)
        distance = np.linalg.norm(best - each)
        assert np.linalg.norm(found - each) <= (1 + 1e-6) * distance + 1e-9
        assert np.linalg.norm(found - best) <= 1e-3 * min(distance, polytope.radius) + 1e-6


@pytest.mark.parametrize(("n", "count"), [(6, 20), (64, 128)])
@pytest.mark.parametrize("like", [False, True])
def test_what_was_moved_lies_in_the_cone_of_the_constraints_that_hold(n, count, like):
    """Necessary and sufficient for the nearest point (Karush, Kuhn and Tucker), at distances that sweeps find hard."""
    rng = np.random.default_rng(n)
    normals, bounds = sides(rng, n, count, like)
    normals, bounds = normals / np.linalg.norm(normals, axis=1)[:, None], bounds / np.linalg.norm(normals, axis=1)  # fmt: skip
    polytope = ActionPolytope(normals, bounds)
    for size in (3.0, 30.0, 1e3, 1e6):
        direction = normals[0] + rng.standard_normal(n) / n**0.5
        asked = polytope.centre + size * direction
        found = polytope.project(asked)
        moved = (asked - found) / np.linalg.norm(asked - found)
        holding = np.flatnonzero(normals @ found > bounds - 1e-3)
        rest = lsq_linear(normals[holding].T, moved, (0, np.inf), method="bvls").cost
        assert rest < 1e-3**2


def test_distances_are_those_of_another_solver():
    rng = np.random.default_rng(3)
    normals, bounds = sides(rng, 6, 20)
    polytope = ActionPolytope(normals, bounds)
    within = {"type": "ineq", "fun": lambda a: bounds - normals @ a, "jac": lambda a: -normals}
    for size in (1, 4, 20):
        asked = polytope.centre + size * rng.standard_normal(6)
        theirs = minimize(
            lambda a, to: np.square(a - to).sum(),
            polytope.centre,
            (asked,),
            "SLSQP",
            jac=lambda a, to: 2 * (a - to),
            constraints=within,
            options={"ftol": 1e-12, "maxiter": 500},
        )
        ours = np.linalg.norm(polytope.project(asked) - asked)
        assert ours == pytest.approx(theirs.fun**0.5, rel=0.005, abs=1e-5)


@quick
@given(st.integers(1, 6), seeds)
def test_sweeps_with_multipliers_are_dykstras_with_vectors(n, seed):
    rng = np.random.default_rng(seed)
    normals, slacks = rng.standard_normal((7, n)), rng.uniform(0.1, 1, 7)
    start = 5 * rng.standard_normal(n)
    y, multipliers = start.copy(), np.zeros(7)
    theirs, increments = start.copy(), np.zeros((7, n))
    for _ in range(12):
        _sweep(y, multipliers, normals, np.square(normals).sum(1), slacks)
        for j in range(7):
            before = theirs + increments[j]
            excess = max(normals[j] @ before - slacks[j], 0)
            theirs = before - excess / (normals[j] @ normals[j]) * normals[j]
            increments[j] = before - theirs
        np.testing.assert_allclose(y, theirs, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(multipliers[:, None] * normals, increments, rtol=1e-7, atol=1e-8)


@quick
@given(st.integers(1, 5), seeds, st.floats(-2, 4))
def test_a_projection_brings_points_no_further_apart_and_a_batch_is_its_rows(n, seed, size):
    rng = np.random.default_rng(seed)
    polytope = ActionPolytope(*sides(rng, n, 8))
    asked = polytope.centre + 10**size * rng.standard_normal((6, n))
    found = polytope.project(asked)
    rows = np.array([polytope.project(each) for each in asked])
    assert found.tobytes() == rows.tobytes()
    for a, b in itertools.combinations(range(6), 2):
        before, after = (np.linalg.norm(x[a] - x[b]) for x in (asked, found))
        assert after <= before + 2e-3 * polytope.radius


def test_the_same_constraint_twice_and_one_that_never_holds_change_nothing():
    rng = np.random.default_rng(1)
    normals, bounds = sides(rng, 3, 6)
    more = ActionPolytope(np.vstack([normals, normals[:2], normals[:1]]), np.r_[bounds, bounds[:2], bounds[:1] + 50])  # fmt: skip
    asked = 4 * rng.standard_normal((50, 3))
    found = ActionPolytope(normals, bounds).project(asked)
    np.testing.assert_allclose(more.project(asked), found, rtol=0, atol=1e-5)


@quick
@given(st.integers(1, 5), seeds, st.floats(-1, 8))
def test_retracting_stops_at_the_first_constraint_on_the_way_to_the_centre(n, seed, size):
    rng = np.random.default_rng(seed)
    polytope = ActionPolytope(*sides(rng, n, 8))
    normals, bounds, centre = polytope.normals, polytope.bounds, polytope.centre
    y, slacks = 10**size * rng.standard_normal(n), bounds - normals @ centre
    found = retract(y, centre, normals, bounds, slacks)
    shares = [min(1, slack / along) for slack, along in zip(slacks, normals @ y, strict=True) if along > 0]  # fmt: skip
    np.testing.assert_allclose(found, centre + min(shares) * y, rtol=1e-9, atol=1e-9)
    assert inside(found, normals, bounds)


def test_where_nothing_can_be_computed_the_centre_is_what_is_allowed():
    box = ActionPolytope.box([0.0], [2.0])
    slacks = box.bounds - box.normals @ box.centre
    found = retract(np.array([np.nan]), box.centre, box.normals, box.bounds, slacks)
    assert found.tobytes() == box.centre.tobytes()


def test_the_centre_is_that_of_the_largest_ball():
    triangle = ActionPolytope([[-1, 0], [0, -1], [3, 4]], [0, 0, 12])  # of sides 3, 4 and 5
    np.testing.assert_allclose(triangle.centre, [1, 1], atol=1e-9)
    assert triangle.radius == pytest.approx(1)


def test_where_the_exact_solver_gives_up_the_constraints_still_hold(monkeypatch):
    rng = np.random.default_rng(3)
    normals, bounds = sides(rng, 3, 8, like=True)
    polytope, asked = ActionPolytope(normals, bounds), 1e4 * rng.standard_normal((20, 3))
    before, calls = polytope.project(asked), []

    def gives_up(*args, **options):
        calls.append(args)
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr(module, "nnls", gives_up)
    found = polytope.project(asked)
    assert calls
    assert (found @ normals.T - bounds).max() <= 1e-9
    assert (np.linalg.norm(found - asked, axis=1) >= np.linalg.norm(before - asked, axis=1) * (1 - 1e-8)).all()  # fmt: skip
