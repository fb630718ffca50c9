"""A game with several agents as a ``pettingzoo.ParallelEnv``."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from pettingzoo import ParallelEnv

from tropism.bridges.env import picture
from tropism.bridges.faults import OnFault
from tropism.bridges.keeper import Keeper
from tropism.bridges.launcher import Command
from tropism.bridges.options import game_options
from tropism.bridges.protocol.bodies import Observation, Outcome
from tropism.bridges.session import Session
from tropism.bridges.stats import Stats
from tropism.bridges.values import ValueCheck
from tropism.errors import OptionError, UnknownNameError

Info = dict[str, dict[str, Any]]
Step = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], Info]


class BridgeParallelEnv(ParallelEnv[str, Any, Any]):
    """A game with one or more agents, who act at the same time, in a process of its own.

    Agents are those of the game's specification, in its order; one that has ended is not in ``agents`` any more, and one that the
    game brings to life is again.  Infos are as those of :class:`tropism.bridges.env.BridgeEnv`, for each agent.  A fault
    that is endured truncates all agents who were alive.

    Args:
        command: see :class:`tropism.bridges.env.BridgeEnv`, as for all others.
        on_fault: see there.
        patience_s: see there.
        check_values: see there.
        record: see there.
        render_mode: see there.
        options: see there, and :class:`tropism.bridges.options.GameOptions`.

    Raises:
        OptionError: an argument is wrong, or the game does not render.
        BridgeError: the game could not be started or agreed with.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  as PettingZoo types it
        "render_modes": ["rgb_array"],
        "name": "bridge",
        "is_parallelizable": True,
    }

    def __init__(
        self,
        command: Command | None = None,
        *,
        on_fault: OnFault | Mapping[str, Any] | str = "raise",
        patience_s: float = 0.1,
        check_values: str = "warn",
        record: str | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise UnknownNameError("render mode", render_mode, ["rgb_array"])
        self.render_mode = render_mode
        wanted = game_options(command, render_mode=render_mode, **options)
        self._keeper = Keeper(wanted, OnFault.of(on_fault), patience_s, record=record)
        self._keeper.connect()
        try:
            self._settle(check_values)
        except BaseException:
            self.close()
            raise

    def _settle(self, policy: str) -> None:
        """Take over what the game is."""
        spec = self._keeper.spec
        self.possible_agents = [agent.id for agent in spec.agents]
        self.agents: list[str] = []
        self.observation_spaces = {agent.id: agent.observation_space for agent in spec.agents}
        self.action_spaces = {agent.id: agent.action_space for agent in spec.agents}
        self._checks = {
            agent.id: (
                ValueCheck(agent.action_space, policy, f"action of {agent.id}"),
                ValueCheck(agent.observation_space, policy, f"observation of {agent.id}"),
            )
            for agent in spec.agents
        }
        self._last: dict[str, Any] = {}
        if self.render_mode is not None and "render" not in self.session.caps:
            raise OptionError(f"the game {spec.name!r} does not render")

    @property
    def session(self) -> Session:
        """The present session."""
        return self._keeper.session

    @property
    def stats(self) -> Stats:
        """Counters of the present session."""
        return self._keeper.session.stats

    @property
    def num_faults(self) -> int:
        """How many faults there were so far."""
        return self._keeper.faults.total

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Observation space of an agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Action space of an agent."""
        return self.action_spaces[agent]

    # -- PettingZoo -----------------------------------------------------------------------------------------

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], Info]:
        """Begin an episode; see :meth:`tropism.bridges.env.BridgeEnv.reset`."""
        self.agents = []
        self._keeper.send_reset(seed, options)
        answer = self._keeper.receive_reset()
        shown = self._shown(answer)
        self.agents = list(shown)
        observations = self._observations(shown)
        return observations, self._infos(answer, shown)

    def step(self, actions: Mapping[str, Any]) -> Step:
        """One step of the game.

        Args:
            actions: one for every agent in ``agents``.

        Raises:
            ResetNeeded: no episode is running.
            OptionError: an agent is missing or unknown.
            BridgeError: see :meth:`tropism.bridges.env.BridgeEnv.step`.
        """
        if not self.agents:
            raise ResetNeeded("step() was called before reset(), or after the end of an episode")
        self._keeper.send_step(self._listed(actions))
        answer = self._keeper.receive_step()
        if answer is None:
            return self._truncated()
        shown = self._shown(answer)
        self.agents = [a for a, o in shown.items() if not (o.terminated or o.truncated)]
        return (
            self._observations(shown),
            {agent: outcome.reward for agent, outcome in shown.items()},
            {agent: outcome.terminated for agent, outcome in shown.items()},
            {agent: outcome.truncated for agent, outcome in shown.items()},
            self._infos(answer, shown),
        )

    def render(self) -> np.ndarray | None:
        """A picture from the game, ``uint8[height, width, 3]``, or None without a render mode."""
        return None if self.render_mode is None else picture(self.call("render"))

    def call(self, name: str, args: Any = None) -> Any:
        """Call a function of the game; see :meth:`tropism.bridges.session.Session.call`."""
        return self.session.call(name, args)

    def close(self) -> None:
        """End the session and the game that was launched for it; a second call does nothing."""
        self._keeper.close()

    # -- details --------------------------------------------------------------------------------------------

    def _listed(self, actions: Mapping[str, Any]) -> list[Any]:
        """Actions in the order of the game, None for agents that have ended."""
        wrong = set(actions) ^ set(self.agents)
        if wrong:
            raise OptionError(f"actions must be given for {self.agents}, not for {list(actions)}")
        return [
            self._checks[agent][0](actions[agent]) if agent in actions else None
            for agent in self.possible_agents
        ]

    def _shown(self, answer: Observation) -> dict[str, Outcome]:
        """The outcomes of those who have an observation."""
        pairs = zip(self.possible_agents, answer.agents, strict=True)
        return {agent: outcome for agent, outcome in pairs if outcome.alive}

    def _observations(self, shown: dict[str, Outcome]) -> dict[str, Any]:
        self._last = {
            agent: self._checks[agent][1](outcome.observation) for agent, outcome in shown.items()
        }
        return dict(self._last)

    def _infos(self, answer: Observation, shown: dict[str, Outcome]) -> Info:
        given = answer.info
        if len(self.possible_agents) == 1:
            given = {self.possible_agents[0]: given}
        facts = {"step": answer.step, **self._keeper.facts(answer)}
        return {agent: {**given.get(agent, {}), "bridge": dict(facts)} for agent in shown}

    def _truncated(self) -> Step:
        """The end of an episode by a fault, for all who were alive."""
        ended, self.agents = self.agents, []
        fault = {"fault": dict(self._keeper.fault or {})}
        return (
            {agent: deepcopy(self._last[agent]) for agent in ended},
            dict.fromkeys(ended, 0.0),
            dict.fromkeys(ended, False),
            dict.fromkeys(ended, True),
            {agent: {"bridge": deepcopy(fault)} for agent in ended},
        )
