"""The multi-agent face of Chemotaxis: several organisms share the sources of one world, as PettingZoo has it.

    from tropism.envs.chemotaxis.parallel import env, parallel_env

``parallel_env()`` has all organisms act at once; ``env()`` is PettingZoo's conversion, where they act in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import logger, spaces
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.env import AECEnv, ParallelEnv

from tropism.envs.chemotaxis.facts import facts
from tropism.envs.chemotaxis.observation import LABELS, MOVES, action_space, labels
from tropism.envs.chemotaxis.params import POINT
from tropism.envs.chemotaxis.senses import Row
from tropism.envs.chemotaxis.shared_baselines import Players, shared_baseline_names
from tropism.envs.chemotaxis.shared_options import read_shared_options
from tropism.envs.chemotaxis.shared_params import SHARED, make_shared_params
from tropism.envs.chemotaxis.shared_senses import shared_space
from tropism.envs.chemotaxis.shared_state import Overview, State
from tropism.envs.chemotaxis.shared_world import SharedWorld
from tropism.envs.core.random import Key, seed_key
from tropism.envs.core.single import discrete_action, need_reset
from tropism.errors import UnknownNameError

Infos = dict[str, dict[str, Any]]


class SharedChemotaxis(ParallelEnv[str, Any, Any]):
    """Several organisms share the food of one world: what one eats is gone for the others.

    ## Description
    Chemotaxis for more than one: each organism smells the nearest source and the nearest other organism, feels its
    own needs, feeds, suffers and dies for itself.  Good sources give energy and harmful ones take integrity, and
    both smell alike; a source that was visited disappears, and another appears elsewhere after 8 steps.  Eight
    sources feed one organism for good, and do not feed four: who is early eats.

    Bodies do not get in each other's way.  In each step all move first; then, in an order of turns that is drawn
    anew, they come to where they are.  So of several that arrive at a source in the same step each is the first
    with equal chance; it alone feeds (or suffers), and for the others the source is gone.  A harmful source that
    survives the visit (`harmful_deplete_p`) harms the next one too, and where sources do not disappear at all
    (`deplete=False`) everybody who arrives feeds.

    Dynamics, numbers and labels of a body are those of the single world: one organism alone, put where that one is,
    lives the same life bit for bit.  By default the world is L1.0 with 24 × 24 cells, 8 sources, 2 of them harmful,
    256 steps and a hunger (0.015 a step, 0.25 a meal) that kills who does not eat for 67 steps.  `level` makes any
    level of the ladder a shared one.

    ```python
    from tropism.envs import make_parallel

    env = make_parallel("tropism/Chemotaxis-Shared-v0", organisms=4)
    observations, infos = env.reset(seed=0)
    while env.agents:
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        observations, rewards, terminations, truncations, infos = env.step(actions)
    ```

    `import tropism.envs.parallel` registers the id with PettingZoo as well, for
    `pettingzoo.make("parallel", "tropism/Chemotaxis-Shared-v0")` and `pettingzoo.make("aec", ...)`.

    ## Agents
    `organism_0`, `organism_1`, ...: `organisms` of them.  Who dies leaves `agents`.

    ## Action Space
    `Discrete(5)` for each living organism, and for nobody else

    | Num | Action |
    |---|---|
    | 0 | stay |
    | 1 | up (y - 1) |
    | 2 | down (y + 1) |
    | 3 | left (x - 1) |
    | 4 | right (x + 1) |

    ## Observation Space
    `Box(float32)` for each, one number a channel: those of the level, and before what it sees and needs the way to
    the nearest other organism that is alive

    | Channel | Meaning | Min | Max | Unit |
    |---|---|---|---|---|
    | `food_x`, `food_y` | way to the nearest source that is there, the first of equally near ones; 0 if none is smelt | -1 | 1 | width - 1, height - 1 |
    | `other_x`, `other_y` | way to the nearest other living organism, the first of equally near ones; 0 if none is smelt, or it is here | -1 | 1 | the same |
    | `energy` | energy | 0 | 1 | 1 |
    | `integrity` | integrity | 0 | 1 | 1 |

    Others are smelt like sources: dropout, range, noise and development of the gradient hold for both.
    `tropism.envs.chemotaxis.shared_senses.shared_channels(params)` names the channels.

    ## State
    `state()`, a vector in [0, 1], for critics that see everything: the share of the episode that is over; of each
    organism whether it lives, x, y and its needs; of each source x, y, whether it does harm, whether it is there,
    and 1 / (n + 1) if it appears in n steps; then what else the level has (`tropism.envs.chemotaxis.shared_state`).

    ## Rewards
    To each the fitness of its own life, as in the single world: 1 for each step (the last one included), 10 × the
    energy gained, and 50 once, on first standing on a good source.  Multiples of 1/128.

    ## Starting State
    Each organism on a uniform cell of its own draw, energy and integrity 1; sources on independent uniform cells;
    which of them do harm is drawn.

    ## Episode End
    An organism's life terminates when a need is 0.  All others are truncated after `max_cycles` steps (256), and the
    episode ends there or with the last life.

    ## Arguments
    | Name | Default | Meaning |
    |---|---|---|
    | `organisms` | 4 | how many are born, 1 to 32 |
    | `level` | `Shared` | the level whose world they share; `Shared` is the world above |
    | `max_cycles` | `steps` | steps until truncation |
    | `render_mode` | `None` | `rgb_array`, `ansi` or `human` |
    | all others | by level | as for the [single world](Chemotaxis-L1.0-v0.md) |

    ## Reset Options
    `reset(options={...})` as in the single world: `sources`, `harmful` and `active` for all; `position`, `energy`,
    `hydration` and `integrity` with one value for every organism, or a leading axis with a value for each.

    ## Info
    The labels of the single world for each organism; `sources` is the same for all.

    ## Scores
    Mean fitness of an organism over 100 episodes where all are played by the same player of the single world, which
    heeds nobody.  Such players end up in a crowd that chases one source, where all but the first go hungry; keeping
    away from each other would feed more of them.

    | `organisms` | `random` | `stay` | `greedy` | `oracle` |
    |---|---|---|---|---|
    | 1 | 84 | 68 | 189 | 384 |
    | 2 | 82 | 68 | 222 | 342 |
    | 4 | 84 | 68 | 207 | 282 |
    | 8 | 84 | 68 | 177 | 216 |

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  as PettingZoo types it
        "name": "chemotaxis_shared_v0",
        "render_modes": ["rgb_array", "ansi", "human"],
        "render_fps": 8,
        "is_parallelizable": True,
        "labels": LABELS,
    }

    def __init__(
        self,
        render_mode: str | None = None,
        organisms: int = 4,
        level: str = SHARED.level,
        max_cycles: int | None = None,
        **overrides: Any,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownNameError("render mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.params = make_shared_params(level, organisms, max_cycles, **overrides)
        self.metadata = self.metadata | {"labels": labels(self.params)}
        self.baselines = shared_baseline_names(self.params)
        self.possible_agents = [f"organism_{index}" for index in range(organisms)]
        self.agents: list[str] = []
        self.observation_spaces = {name: shared_space(self.params) for name in self.possible_agents}
        self.action_spaces = {name: action_space(self.params) for name in self.possible_agents}
        self.world = SharedWorld(self.params, organisms)
        self._overview = Overview(self.params, organisms)
        self.state_space = self._overview.space
        self._limit = self.params.max_episode_steps or self.params.steps
        self._renderer = self._make_renderer()
        self._index = {name: index for index, name in enumerate(self.possible_agents)}
        self._episode_key: Key | None = None
        self._episode = -1

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The space of what ``agent`` observes, the same object each time."""
        return self._of(agent, self.observation_spaces)

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The space of the actions of ``agent``, the same object each time."""
        return self._of(agent, self.action_spaces)

    # -- an episode -----------------------------------------------------------------------------------------

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Row], Infos]:
        """Begin the first episode of ``seed``, or without one the next episode; ``options`` fix parts of it."""
        ground, own = read_shared_options(self.params, options or {}, len(self.possible_agents))
        if seed is not None or self._episode_key is None:
            _, self.np_random_seed = seeding.np_random(seed)
            self._episode_key, self._episode = seed_key(self.np_random_seed), 0
        else:
            self._episode += 1
        self.world.reset(self._episode_key, self._episode, ground, own)
        self.agents = list(self.possible_agents)
        return self._look(self.agents)

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Row], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Let each living organism stay (0) or move one cell: up (1), down (2), left (3), right (4).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, or after the end of the last life.
            gymnasium.error.InvalidAction: for any other action, a missing one, or one of an organism that is dead.
        """
        names, world = self.agents, self.world
        points = world.step(self._read(actions))
        over = world.ground.t >= self._limit
        living = {organism.index for organism in world.living}
        rewards = {name: points[self._index[name]] / POINT for name in names}
        terminated = {name: self._index[name] not in living for name in names}
        self.agents = [] if over else [name for name in names if not terminated[name]]
        observations, infos = self._look(names)
        return observations, rewards, terminated, dict.fromkeys(names, over), infos

    def state(self) -> State:
        """Everything there is to know, ``float32[n]`` in [0, 1], in the order of :class:`Overview`."""
        self._check_begun("state()")
        return self._overview.look(self.world)

    def render(self) -> Any:
        """A frame ``uint8[480, 768, 3]``, text, or ``None``, by ``render_mode``."""
        if self._renderer is None:
            logger.warn("render() needs a render_mode: parallel_env(render_mode='rgb_array')")
            return None
        self._check_begun("render()")
        return self._renderer.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()

    def make_players(self, name: str) -> Players:
        """The baseline ``name`` for all organisms (:mod:`tropism.envs.chemotaxis.shared_baselines`)."""
        return Players(self, name)

    # -- inside ---------------------------------------------------------------------------------------------

    def _look(self, names: list[str]) -> tuple[dict[str, Row], Infos]:
        """What the organisms sense, and what is true of them."""
        bodies = {name: self.world.organisms[self._index[name]] for name in names}
        observations = {name: body.senses.observe(body) for name, body in bodies.items()}
        infos = {name: facts(body) for name, body in bodies.items()}
        if self._renderer is not None:
            self._renderer.note(observations, infos, self.world.ground.timers)
        return observations, infos

    def _read(self, actions: Mapping[str, Any]) -> dict[int, int]:
        """One action for each of the living, by index."""
        if not self.agents:
            raise need_reset(
                "before the first reset()"
                if self._episode_key is None
                else "after the end of all lives"
            )
        if not isinstance(actions, Mapping) or set(actions) != set(self.agents):
            given = list(actions) if isinstance(actions, Mapping) else actions
            raise InvalidAction(f"actions must hold one for each of {self.agents}, got {given!r}")
        moves = {}
        for name in self.agents:
            try:
                moves[self._index[name]] = discrete_action(actions[name], len(MOVES))
            except InvalidAction as error:
                raise InvalidAction(f"{name}: {error}") from None
        return moves

    def _make_renderer(self) -> Any:
        """Whoever watches; nobody without a render mode, so that nothing is recorded."""
        if self.render_mode is None:
            return None
        from tropism.envs.chemotaxis.shared_render import SharedRenderer

        return SharedRenderer(
            self.params, self.possible_agents, self.render_mode, self.metadata["render_fps"]
        )

    def _of(self, agent: str, things: Mapping[str, Any]) -> Any:
        if agent not in things:
            raise UnknownNameError("agent", agent, things)
        return things[agent]

    def _check_begun(self, call: str) -> None:
        if self._episode_key is None:
            raise ResetNeeded(f"{call} was called before the first reset(): call reset() first")


def parallel_env(**kwargs: Any) -> SharedChemotaxis:
    """The environment; arguments as for :class:`SharedChemotaxis`."""
    return SharedChemotaxis(**kwargs)


def raw_env(**kwargs: Any) -> AECEnv[str, Any, Any]:
    """The environment as PettingZoo's agent-environment cycle, in which organisms act one after the other."""
    return parallel_to_aec(parallel_env(**kwargs))


env = raw_env
