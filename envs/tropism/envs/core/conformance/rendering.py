"""Check of the pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from tropism.envs.core.conformance.case import Case, require_same


def rendering(case: Case) -> None:
    """Every mode but ``human`` gives frames of its kind, fresh each time, alone and as ``_list``."""
    metadata = case.make().metadata
    modes = [mode for mode in metadata["render_modes"] if mode != "human"]
    if modes and not metadata.get("render_fps", 0) > 0:
        raise AssertionError("metadata['render_fps'] must be positive")
    for mode in modes:
        frames = _frames(case, mode)
        listed = _list_frames(case, f"{mode}_list")
        for frame in frames + listed:
            _check_frame(mode, frame)
        require_same(frames, listed, f"render modes {mode!r} and '{mode}_list'")


def _frames(case: Case, mode: str) -> list[Any]:
    env = case.make(render_mode=mode)
    env.action_space.seed(0)
    env.reset(seed=0)
    frames = [env.render()]
    env.step(env.action_space.sample())
    frames.append(env.render())
    if mode == "rgb_array" and np.shares_memory(frames[0], frames[1]):
        raise AssertionError("two frames share memory")
    env.close()
    return frames


def _list_frames(case: Case, mode: str) -> list[Any]:
    env = case.make(render_mode=mode)
    env.action_space.seed(0)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    frames: Any = env.render()
    env.close()
    return list(frames)


def _check_frame(mode: str, frame: Any) -> None:
    if mode == "ansi":
        good = isinstance(frame, str) and frame.strip() != ""
    else:
        good = (
            isinstance(frame, np.ndarray)
            and frame.dtype == np.uint8
            and frame.ndim == 3
            and frame.shape[2] == 3
        )
    if not good:
        expected = (
            "a non-empty str" if mode == "ansi" else "a uint8 array of shape (height, width, 3)"
        )
        raise AssertionError(
            f"render mode {mode!r} must give {expected}, got {type(frame).__name__}"
        )
