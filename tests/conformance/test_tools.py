"""Each check with Gymnasium's tools catches an environment that those tools cannot work with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tropism.envs.core.conformance import check
from tropism.envs.core.conformance.case import Case, strict
from tropism.envs.core.conformance.tools import (
    TOOLS,
    array_conversion,
    async_parity,
    benchmarks,
    environments_match,
    registry_listing,
)
from tropism.envs.sanity.dictionary import DictEnv

BROKEN = "test/Tools-v0"


class SpacesOfItsOwn(DictEnv):
    serial = count(1)

    def _spaces(self) -> Any:
        bound = float(next(self.serial))
        signal = spaces.Box(-bound, bound, (1,), np.float32)
        return spaces.Dict({"rule": spaces.Discrete(2), "signal": signal}), spaces.Discrete(2)


class NeedsASeed(DictEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is None and self._episode_key is None:
            raise ValueError("a seed is required")
        return super().reset(seed=seed, options=options)


class TellsItsProcess(DictEnv):
    home = os.getpid()

    def _play(self, action: Any) -> tuple[float, bool]:
        reward, ended = super()._play(action)
        return reward + (os.getpid() != self.home), ended


class TakesPythonNumbersOnly(DictEnv):
    def _valid(self, action: Any) -> Any:
        if isinstance(action, np.ndarray):
            raise TypeError("no arrays")
        return super()._valid(action)


@pytest.fixture
def broken() -> Iterator[Callable[[type[Any]], Case]]:
    def register(kind: type[Any]) -> Case:
        gymnasium.register(BROKEN, f"{__name__}:{kind.__name__}", max_episode_steps=16)
        return Case(BROKEN)

    yield register
    gymnasium.registry.pop(BROKEN, None)


def test_instances_with_different_spaces_do_not_match(broken: Any) -> None:
    with strict(), pytest.raises(AssertionError):
        environments_match(broken(SpacesOfItsOwn))


def test_an_environment_that_cannot_be_measured_is_caught(broken: Any) -> None:
    with strict(), pytest.raises(ValueError, match="a seed is required"):
        benchmarks(broken(NeedsASeed))


@pytest.mark.skipif(sys.platform != "linux", reason="the check forks, which is safe on Linux only")
def test_lanes_that_differ_in_a_process_of_their_own_are_caught(broken: Any) -> None:
    with strict(), pytest.raises(AssertionError, match=r"AsyncVectorEnv: step 0 .*: 0|1"):
        async_parity(broken(TellsItsProcess))


def test_an_environment_that_takes_no_arrays_is_caught(broken: Any) -> None:
    pytest.importorskip("array_api_compat")
    pytest.importorskip("torch")
    with strict(), pytest.raises(TypeError, match="no arrays"):
        array_conversion(broken(TakesPythonNumbersOnly))


def test_an_id_that_left_the_registry_is_caught() -> None:
    with pytest.raises(AssertionError, match="does not list it"):
        registry_listing(Case("test/Gone-v0"))


def test_a_sound_environment_passes_all_and_every_tool_has_its_defect(broken: Any) -> None:
    check(broken(DictEnv).env_id)
    assert list(TOOLS.values()) == [
        registry_listing,
        environments_match,
        benchmarks,
        async_parity,
        array_conversion,
    ]
