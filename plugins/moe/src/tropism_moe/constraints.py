"""What may be done: actions of a box kept within linear constraints, and masks of discrete ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces

from tropism.agents.artifacts import read_json
from tropism.errors import ArtifactError, OptionError, UnsupportedTaskError
from tropism_moe.choices import Choices, FloatArray
from tropism_moe.projection import ActionPolytope, mask_logits
from tropism_moe.projection_kernel import inside

Sides = Mapping[str, Any]
"""``normals`` (``float[H, n]``) and ``bounds`` (``float[H]``) as JSON has them."""


class Constraints:
    """The actions of a box that satisfy ``N a <= b``, too.

    An action that does is left as it is, bit for bit; another becomes the nearest that does, as
    :meth:`~tropism_moe.projection.ActionPolytope.project` finds it.  None that is returned violates a constraint, as summed term
    by term in float64, by any amount: rounding to the dtype of the box moves ``N a``, so bounds are first taken closer by the most
    that it can, about 1e-7 of ``|N| |a|`` in float32.

    Args:
        space: a bounded ``Box`` of floating point numbers.
        sides: of the polytope; actions of several axes are flattened.

    Raises:
        UnsupportedTaskError: of another space.
        OptionError: sides are missing, of another shape, or not finite.
        tropism_moe.projection.PolytopeError: no action with a margin satisfies all.
    """

    def __init__(self, space: spaces.Space[Any], sides: Sides) -> None:
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise UnsupportedTaskError(
                f"constraints need actions of a Box of floating point numbers, not {space}; leave them out"
            )
        self._dtype: Any = space.dtype
        self.normals, self.bounds = _arrays(sides, int(np.prod(space.shape)))
        ends = np.stack([space.low.ravel(), space.high.ravel()]).astype(np.float64)
        unit = np.finfo(self._dtype).eps + ends.shape[1] * np.finfo(np.float64).eps
        rounding = np.abs(ends).max(0) * unit
        closer = self.bounds - np.abs(self.normals) @ rounding
        eye = np.eye(ends.shape[1])
        self._polytope = ActionPolytope(
            np.concatenate([self.normals, eye, -eye]), np.concatenate([closer, ends[1], -ends[0]])
        )

    def allow(self, actions: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        """The actions to take instead of ``[B, ...]`` of the box."""
        flat = np.array(actions.reshape(len(actions), -1))
        outside = [not inside(a, self.normals, self.bounds) for a in flat.astype(np.float64)]
        if any(outside):
            flat[outside] = self._polytope.project(flat[outside]).astype(self._dtype)
        return flat.reshape(actions.shape)


def read_sides(path: str | Path) -> Sides:
    """The sides in a JSON file, ``{"normals": [[...], ...], "bounds": [...]}``.

    Raises:
        OptionError: it is missing, no JSON, or holds something else.
    """
    try:
        sides = read_json(Path(path))
        return {name: sides[name] for name in ("normals", "bounds")}
    except (ArtifactError, KeyError) as error:
        raise OptionError(
            f'constraints: {path} gives none ({error}); a JSON file {{"normals": [[...], ...], "bounds": [...]}} expected'
        ) from error


def masked(
    outputs: FloatArray, info: Mapping[str, Any], choices: Choices, rows: Any = slice(None)
) -> FloatArray:
    """Outputs ``float32[R, size]`` of the lanes ``rows``, at ``-inf`` what ``info["action_mask"]`` forbids; a box knows no mask.

    Gymnasium's vectors give it as ``[B, size]``, 0 for what is forbidden, beside ``info["_action_mask"]``, which lanes have one.

    Raises:
        OptionError: a mask of another shape, or one that allows nothing.
    """
    if "action_mask" not in info or not choices.counts:
        return outputs
    allowed = np.asarray(info["action_mask"]) != 0
    if allowed.ndim != 2 or allowed[rows].shape != outputs.shape:
        raise OptionError(
            f"action_mask in info has shape {allowed.shape}; (lanes, {outputs.shape[1]}) expected, one number for each option"
        )
    given = np.asarray(info.get("_action_mask", np.ones(len(allowed))), np.bool_)
    allowed = (allowed | ~given[:, None])[rows]
    ends = np.cumsum(choices.counts)[:-1]
    parts = zip(np.split(outputs, ends, 1), np.split(allowed, ends, 1), strict=True)
    found = [mask_logits(torch.from_numpy(x), torch.from_numpy(mask)).numpy() for x, mask in parts]
    return np.concatenate(found, 1)


def _arrays(sides: Sides, width: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Normals ``[H, width]`` and bounds ``[H]``."""
    try:
        normals, bounds = (np.array(sides[name], np.float64) for name in ("normals", "bounds"))
    except (KeyError, TypeError, ValueError) as error:
        raise OptionError(f"constraints cannot be read: {error!r}; numbers expected") from error
    if normals.ndim != 2 or normals.shape[1] != width or bounds.shape != normals.shape[:1]:
        raise OptionError(
            f"constraints have normals {normals.shape} and bounds {bounds.shape}; (H, {width}) and (H,) expected: "
            f"a row for each constraint, a column for each of the {width} numbers of an action"
        )
    return normals, bounds
