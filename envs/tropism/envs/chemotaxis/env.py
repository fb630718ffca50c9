"""The single-environment face of Chemotaxis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import logger
from gymnasium.error import ResetNeeded

from tropism.envs.chemotaxis.baselines import baseline_names, make_baseline
from tropism.envs.chemotaxis.facts import facts
from tropism.envs.chemotaxis.levels import make_params
from tropism.envs.chemotaxis.observation import (
    LABELS,
    MOVES,
    action_space,
    labels,
    observation_space,
)
from tropism.envs.chemotaxis.options import read_options
from tropism.envs.chemotaxis.params import POINT
from tropism.envs.chemotaxis.reference import Reference
from tropism.envs.chemotaxis.reference_worlds import make_reference
from tropism.envs.core.baselines import Baseline
from tropism.envs.core.random import Key
from tropism.envs.core.single import ReferenceEnv, discrete_action, need_reset

_NUM_ACTIONS = len(MOVES)
_INT64 = np.int64


class ChemotaxisEnv(ReferenceEnv):
    """A small organism smells sources, feeds, suffers and survives; each level of the ladder adds one pressure.

    ## Description
    An organism lives on a grid of cells.  Its energy runs down; good sources give some back; harmful ones take
    integrity; it dies when either is gone.  It senses the direction to the nearest source and its own needs, and
    has to find out the rest.  A level differs from the one before in one respect only.

    | Level | World | What it adds |
    |---|---|---|
    | L0.0 | 64 × 1, one source | follow a gradient |
    | L0.1 | 16 × 16, one source | in two dimensions |
    | L0.2 | 64 × 1, two good and two harmful sources that smell alike | remember which place did harm |
    | L0.2-Informed | the same, smelling of good sources only | the control: no memory needed |
    | L1.0 | L0.2, a visited source disappears and another appears after 4 steps | places lose their meaning |
    | L1.1 | L1.0, the gradient is missing half of the time | bridge gaps |
    | L1.2 | 16 × 16, two good sources that move when visited; three walls with one gap each | detour: the gradient points through walls |
    | L2.0 | food and water, scarce; 256 steps | two needs, both of which decay |
    | L2.1 | food, little water, and brine, which costs energy; 256 steps | trade one need for another |
    | L2.2 | all sources in one quadrant for 8 episodes, smelt within 2 cells | carry a place over from life to life |
    | L3.0 | four zones that drain integrity | weigh a way against its danger |
    | L3.1 | storms, and a shelter; a cue is shown 10 steps ahead, and nothing after it | anticipate |
    | L3.2 | a fifth of the storms come without a cue, three cues in ten are false | doubt a cue |
    | L4.0 | 64 × 64, six sources, smelt within 8 cells; 512 steps | search |
    | L4.1 | red and blue sources: one kind feeds, the other harms, and they change places at hidden times | infer the season |
    | L4.2 | plenty of food and water; only one need is paid for, and which one changes at hidden times | infer the goal from the pay |
    | L5.0 | each episode draws the number of harmful sources, dropout, delay and harm | infer the world |

    From L1.2 on each level puts one pressure on the meadow of L1.2; those of L2 and L4.2 need more food.

    A source is visited by coming to its cell from another one: stepping off and on again is a new visit, staying is
    not.  Where sources do not disappear (L0) the optimum is therefore to find a good one and to step off and on
    until the end.  L0.0 to L1.1 keep the dynamics, constants and fitness of their origin, koki2 (K. Kis, 2025),
    https://github.com/Krisztiaan/koki2, in whole units of 1/6400 instead of floats.

    ## Action Space
    `Discrete(5)`

    | Num | Action |
    |---|---|
    | 0 | stay |
    | 1 | up (y - 1) |
    | 2 | down (y + 1) |
    | 3 | left (x - 1) |
    | 4 | right (x + 1) |

    The border of the grid stops a move; where the grid is one cell high, up and down do nothing.

    ## Observation Space
    `Box(float32)`, one number a channel:

    | Channel | Levels | Meaning | Min | Max | Unit |
    |---|---|---|---|---|---|
    | `<kind>_x`, `<kind>_y` | all; `food`, or `water`, `brine`, `red`, `blue` | way to the nearest source of the kind that is there, the first of equally near ones; 0 if none is smelt | -1 | 1 | width - 1, height - 1 |
    | `shelter_x`, `shelter_y` | L3.1, L3.2 | way to the shelter, 0 inside | -1 | 1 | the same |
    | `blocked_up`, `_down`, `_left`, `_right` | L1.2 | a wall or the border would stop the move | 0 | 1 | flag |
    | `zone_here`, `zone_up`, `_down`, `_left`, `_right` | L3.0 | the cell lies in a zone | 0 | 1 | flag |
    | `cue`, `storm` | L3.1, L3.2 | a cue is shown; a storm rages | 0 | 1 | flag |
    | `payoff` | L4.2 | what the last step's gain was paid | 0 | 50 × gain × sources | reward |
    | `energy` | all | energy | 0 | 1 | 1 |
    | `hydration` | L2.0, L2.1, L4.2 | hydration | 0 | 1 | 1 |
    | `integrity` | all | integrity | 0 | 1 | 1 |

    The channels of a level stand in this order; `tropism.envs.chemotaxis.observation.channels(params)` names them.

    ## Rewards
    1 for each step (the last one included), 10 × what was gained, and 50 once, on first standing on a good source:
    the return is the origin's fitness.  Where there are two needs, only what the body could hold counts as gained; on
    L4.2 only the gain of the need that is paid for counts, 50 × instead of 10 ×.  Multiples of 1/128, so that every
    face returns the same bits, and that the return is the label `fitness` exactly.

    ## Starting State
    The organism in the middle of the grid, every need at 1; sources on independent uniform cells (next to a wall they
    would be in); which of them do harm, walls, zones, shelter and clocks are drawn.

    ## Episode End
    Terminates when a need is 0.  Truncated after 128 steps (L2.0 and L2.1: 256, L4.0: 512) by Gymnasium's
    ``TimeLimit``: who never eats on L0 and L1 dies in that very step, and both flags are true.  Given `steps`, the
    environment truncates a life at that number by itself; for a life longer than the registered one pass the same
    number as `max_episode_steps` too.

    ## Arguments
    | Name | Default | Meaning |
    |---|---|---|
    | `level` | by id | name of the level |
    | `width`, `height`, `steps` | by level | size of the grid; length of a life, to which development refers |
    | `num_sources`, `num_harmful` | by level | number of sources, and how many of them do harm |
    | `informed` | by level | the gradient leads to good sources only |
    | `energy_init`, `energy_decay`, `energy_gain` | 1, 1 / steps, 0.05 | energy at birth, lost a step, given by a source |
    | `harm` | 0.25 | integrity that a harmful source takes |
    | `deplete`, `respawn_delay` | by level, 4 | whether a visited source disappears, and steps until another appears |
    | `harmful_deplete_p`, `harmful_respawn_delay` | 1, -1 | the same for harmful ones: with what probability, and after how many steps (-1: as above) |
    | `gradient_dropout` | by level | probability that the gradient reads 0 in a step |
    | `obs_noise` | 0 | standard deviation of normal noise on every channel |
    | `hydration_decay`, `hydration_gain`, `brine_cost` | by level, 0.25, 0.1 | thirst a step; what water and brine give; what brine takes |
    | `walls` | by level | number of walls |
    | `zones`, `zone_size`, `zone_drain` | by level, (4, 4), 0.05 | number of zones, their cells, integrity lost a step inside |
    | `storms`, `storm_gap`, `cue_steps`, `storm_delay`, `storm_steps`, `storm_drain`, `shelter_size` | by level, (12, 24), 2, 8, 6, 0.06, (3, 3) | storms: steps from one to the next cue, of the cue, of the pause after it, of the storm; integrity lost a step outside the shelter; its cells |
    | `cue_probability`, `false_cue_probability` | by level | share of storms that are announced, of cues that are false |
    | `switch_every` | (24, 40) | steps between two hidden changes |
    | `layout_period` | by level | episodes for which all sources stay in one quadrant; 0 is anywhere |
    | `sensing_range` | by level | cells beyond which a source is not sensed; 0 is everywhere |
    | `terminate_on_reach` | `False` | the life ends on reaching a good source |
    | `development` | `None` | ramps of a growing organism: `{"gradient_gain": (low, high, start, end), ...}`, see `Development` |
    | `alive_weight`, `gain_weight`, `reach_weight` | 1, 10 (L4.2: 50), 50 | the rewards above |

    ## Reset Options
    `reset(options={"position": (x, y), "sources": [(x, y), ...], "harmful": [...], "active": [...], "energy": e,
    "hydration": h, "integrity": i})` fixes the cell of the organism, of each source, whether it does harm, whether it is there, and
    the needs, in [0, 1].  In a vector each value may have a leading axis with one entry a lane.

    ## Info
    Labels, which `HideLabels` removes; needs are in units of 1/6400: `x`, `y`, `energy_units`, `integrity_units`,
    `t_alive` (steps lived), `energy_gained` (total, of all needs), `good_arrivals`, `bad_arrivals`, `reached`,
    `integrity_lost` (total), `integrity_min`, `drive` (sum of the squared distances of the needs from 1; on L4.2 of
    the need that is paid for and integrity), `event` (gained minus lost in the last step), `fitness` (the return so
    far) and `sources` (`x, y, does harm now, is there` of each).  Where the level has them: `hydration_units`,
    `walls` (column, row of the gap), `zones` and `shelter` (`x, y, width, height`), `storm_in` (steps until the storm
    of this cycle, 0 while it rages, -1 if its cue is false), `storm_left` (steps for which it will rage), `season` (0
    red, 1 blue), `goal` (0 energy, 1 hydration), `switch_in` (steps until it changes), `quadrant`, and `family`
    (harmful sources, dropout in 1/1000, delay, harm in units).

    ## Rendering
    `rgb_array` (frames `uint8[480, 768, 3]`), `ansi` (text) and `human` (a window; needs `tropism[render]`): the
    organism (white, its eye looks where it went) and its trail, sources (a disc is food, a drop water; spikes do
    harm; hollow ones will appear again after so many steps), dots along what it smells, its needs over the whole
    life, what it senses and what it visited.  A world on a line shows its whole past: time goes down to the present.
    Where integrity drains the ground is hatched.  Frames show the truth, also what is not sensed.

    `tropism.envs.chemotaxis.render` has `draw_life` and `film_life`, for one picture of a whole life and for films of
    `env.unwrapped.life`, or of what `Recording.from_columns` makes of a rollout of the functional face;
    `tropism.envs.chemotaxis.play.play(env_id)` lets a person play.

    ## Version History
    * v0: first version.
    """

    metadata = {"render_modes": ["rgb_array", "ansi", "human"], "render_fps": 8, "labels": LABELS}  # noqa: RUF012  as Gymnasium types it

    def __init__(
        self, render_mode: str | None = None, level: str = "L0.2", **overrides: Any
    ) -> None:
        super().__init__(render_mode)
        self.params = make_params(level, **overrides)
        self.metadata = self.metadata | {"labels": labels(self.params)}
        self.baselines = baseline_names(self.params)
        self.observation_space = observation_space(self.params)
        self.action_space = action_space(self.params)
        self.reference = make_reference(self.params)
        self._renderer = self._make_renderer()
        self._observe = self._watch if self._renderer else self.reference.senses.observe
        self._limit = self.params.max_episode_steps or 2**30
        self._running: bool | None = None

    def _begin(
        self, key: Key, episode: int, options: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        checked = read_options(self.params, options)
        self.reference.reset(key, episode, {n: value.tolist() for n, value in checked.items()})
        self._running = True
        return self._observe(self.reference), facts(self.reference)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Stay (0) or move one cell: up (1), down (2), left (3), right (4).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, or after the end of a life.
            gymnasium.error.InvalidAction: for any other action.
        """
        if not self._running:
            raise need_reset(
                "before the first reset()" if self._running is None else "after the end of the life"
            )
        if action.__class__ is _INT64:
            action = int(action)
        if action.__class__ is not int or not 0 <= action < _NUM_ACTIONS:
            action = discrete_action(action, _NUM_ACTIONS)
        world = self.reference
        reward = world.step(action) / POINT
        ended, truncated = world.ended, world.t >= self._limit
        if ended or truncated:
            self._running = False
        return self._observe(world), reward, ended, truncated, facts(world)

    def make_baseline(self, name: str, num_lanes: int) -> Baseline:
        """The baseline ``name`` for ``num_lanes`` lanes (:mod:`tropism.envs.chemotaxis.baselines`)."""
        return make_baseline(name, self.params, num_lanes)

    def render(self) -> Any:
        """A frame ``uint8[480, 768, 3]``, text, or ``None``, by ``render_mode``."""
        if self._renderer is None:
            logger.warn(
                "render() needs a render_mode: gymnasium.make(..., render_mode='rgb_array')"
            )
            return None
        if self._running is None:
            raise ResetNeeded("render() was called before the first reset(): call reset() first")
        return self._renderer.render()

    @property
    def life(self) -> Any:
        """The record of the present life (:class:`~tropism.envs.chemotaxis.recording.Recording`), if it is watched."""
        return self._renderer and self._renderer.recording

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys for ``gymnasium.utils.play``: the arrows, and the space bar to stay."""
        from tropism.envs.chemotaxis.keys import KEYS_TO_ACTION

        return dict(KEYS_TO_ACTION)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()

    def _make_renderer(self) -> Any:
        """Whoever watches the life; nobody without a render mode, so that nothing is recorded."""
        if self.render_mode is None:
            return None
        from tropism.envs.chemotaxis.render import Renderer

        return Renderer(self.params, self.render_mode, self.metadata["render_fps"])

    def _watch(self, world: Reference) -> Any:
        """Observe for somebody who watches."""
        sensed = world.senses.observe(world)
        self._renderer.note(sensed, facts(world), world.timers)
        return sensed
