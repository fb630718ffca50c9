"""One face for Gymnasium's and PettingZoo's environments: what a game of the bridge has to do.

A host lists its agents in a fixed order and speaks of them in lists in that order. PettingZoo is never imported
unless an environment of it that takes turns (AEC) is given: what an environment is shows in what it has.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import gymnasium

from tropism.bridges.errors import InvalidValue
from tropism.bridges.jsonable import to_json
from tropism.bridges.protocol.bodies import Outcome
from tropism.bridges.protocol.spec import AgentSpec, Spec
from tropism.bridges.requests import ABSENT, outcome
from tropism.errors import OptionError


class Frame(NamedTuple):
    """What an environment shows after a reset or a step: the outcome of each agent, and the info."""

    outcomes: list[Outcome]
    info: dict[str, Any]


class Host(Protocol):
    """An environment as a game."""

    spec: Spec

    def reset(self, seed: int | None, options: dict | None) -> Frame:
        """Begin an episode."""
        ...

    def step(self, actions: list) -> Frame:
        """Apply one action for each agent (None: it does not act) and simulate one step."""
        ...

    def render(self) -> Any:
        """What the environment's `render` returns."""
        ...

    def close(self) -> None:
        """Close the environment."""
        ...


def host(env: Any, name: str | None = None, hold: bool = False) -> Host:
    """Wrap an environment.

    Args:
        env: a `gymnasium.Env`, or a `pettingzoo.ParallelEnv` or `AECEnv`.
        name: of the game; None: the environment's id or the name of its class.
        hold: what the specification says of actions in latest-frame mode.

    Raises:
        OptionError: it is something else, such as a vector environment.
    """
    if isinstance(env, gymnasium.vector.VectorEnv):
        raise OptionError(f"{env!r} is a vector environment; serve single ones, each for itself")
    if hasattr(env, "agent_iter"):
        from pettingzoo.utils.conversions import aec_to_parallel

        env = aec_to_parallel(env)
    if hasattr(env, "possible_agents"):
        return ParallelHost(env, name, hold)
    if hasattr(env, "observation_space") and hasattr(env, "step"):
        return SingleHost(env, name, hold)
    raise OptionError(
        f"{env!r} is no environment: neither gymnasium.Env nor pettingzoo.ParallelEnv"
    )


class SingleHost:
    """A `gymnasium.Env` as a game with one agent."""

    def __init__(self, env: gymnasium.Env, name: str | None = None, hold: bool = False) -> None:
        self.env = env
        agent = AgentSpec("agent", env.observation_space, env.action_space)
        known = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.spec = Spec(name or known, [agent], hold=hold, about=about(env))

    def reset(self, seed: int | None, options: dict | None) -> Frame:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return Frame([outcome(0.0, False, False, observation)], info)

    def step(self, actions: list) -> Frame:
        """Apply the action."""
        if actions[0] is None:
            raise InvalidValue("the only agent must act in every step")
        observation, reward, terminated, truncated, info = self.env.step(actions[0])
        return Frame([outcome(reward, terminated, truncated, observation)], info)

    def render(self) -> Any:
        """What the environment's `render` returns."""
        return self.env.render()

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


class ParallelHost:
    """A `pettingzoo.ParallelEnv` as a game; its agents are the possible ones."""

    def __init__(self, env: Any, name: str | None = None, hold: bool = False) -> None:
        self.env = env
        self._agents = list(env.possible_agents)
        agents = [
            AgentSpec(str(a), env.observation_space(a), env.action_space(a)) for a in self._agents
        ]
        known = env.metadata.get("name") or type(env.unwrapped).__name__
        self.spec = Spec(name or known, agents, hold=hold, about=about(env))

    def reset(self, seed: int | None, options: dict | None) -> Frame:
        """Begin an episode."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return self._frame(observations, {}, {}, {}, infos)

    def step(self, actions: list) -> Frame:
        """Apply the actions of those who are alive; once nobody is, nothing happens any more."""
        acting = list(self.env.agents)
        if not acting:
            return self._frame({}, {}, {}, {}, {})
        given = dict(zip(self._agents, actions, strict=True))
        idle = [agent for agent in acting if given[agent] is None]
        if idle:
            raise InvalidValue(f"{idle[0]!r} is alive and must act")
        shown, *rest = self.env.step({agent: given[agent] for agent in acting})
        alive = {*acting, *self.env.agents}  # some environments show the dead, too
        return self._frame({a: o for a, o in shown.items() if a in alive}, *rest)

    def render(self) -> Any:
        """What the environment's `render` returns."""
        return self.env.render()

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def _frame(
        self,
        observations: dict,
        rewards: dict[Any, float],
        terminated: dict[Any, bool],
        truncated: dict[Any, bool],
        infos: dict[Any, dict],
    ) -> Frame:
        def of(agent: Any) -> Outcome:
            if agent not in observations:
                return ABSENT
            flags = terminated.get(agent, False), truncated.get(agent, False)
            return outcome(rewards.get(agent, 0.0), *flags, observations[agent])

        info = {str(agent): infos.get(agent, {}) for agent in self._agents if agent in observations}
        if len(self._agents) == 1:  # one agent is a gymnasium.Env to the other side
            info = next(iter(info.values()), {})
        return Frame([of(agent) for agent in self._agents], info)


def about(env: Any) -> dict[str, Any]:
    """What else there is to know of an environment: its `metadata`, `render_mode` and step limit."""
    spec = getattr(env, "spec", None)
    facts = {
        "metadata": dict(env.metadata),
        "render_mode": getattr(env, "render_mode", None),
        "max_episode_steps": getattr(spec, "max_episode_steps", None),
    }
    return to_json(facts, [])
