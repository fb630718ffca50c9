"""The single-environment face of PatternWorld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import logger
from gymnasium.error import ResetNeeded

from tropism.envs.core.baselines import Baseline
from tropism.envs.core.random import Key
from tropism.envs.core.single import ReferenceEnv, check_options, discrete_action, need_reset
from tropism.envs.patternworld.baselines import baseline_names, make_baseline
from tropism.envs.patternworld.observation import (
    LABELS,
    action_space,
    observation_space,
    option_ranges,
)
from tropism.envs.patternworld.params import make_params
from tropism.envs.patternworld.reference import make_reference

_ROOM = 4096
"""Tokens written into the history buffer before its tail is moved to the front."""


class PatternWorldEnv(ReferenceEnv):
    """Predict the next token while the rule that makes the tokens changes without notice.

    ## Description
    A hidden rule turns the last token into the next one; the agent is asked, at every step, which token comes
    next.  Now and then the rule is replaced by another, unannounced.  Nothing else happens: what is measured is
    how soon an agent notices and how little the change costs it, against an exact ideal observer.

    | Tier | Rules | Switches | What makes it hard |
    |---|---|---|---|
    | Seed | x + 1, 2 x, x ± 1 by parity, on 100 tokens | every 30 steps, in turn | the origin's schedule, fully predictable |
    | Switch | the same | probability 1/30 a step | the moment of the switch |
    | Affine | 8 maps a x + b modulo 97 | 1/40 | more rules, each a permutation |
    | Noisy | as Affine | 1/40 | one token in ten is random: change or noise? |
    | Fast | as Affine | 1/8 | little time to profit from what was learned |
    | Order2 | 8 maps a x + b y + c modulo 97 | 1/40 | the rule reads two tokens |
    | Heldout | 4,619 affine maps, disjoint from the training split | 1/40 | rules never met before |
    | Recur | 4 of 32 affine maps an episode | 1/60 | old rules return: is relearning cheaper? |
    | Alias | 81 cycles of 96 tokens that share half their steps | 1/40 | old and new rule agree for at least 8 steps |
    | Hop | a permutation of 8 symbols, shown once | 1/10 | answer is k hops away, k from 1 to 8 |

    A new rule always differs from the old one.  Provenance: PatternWorld of the Omni-Zero project (its
    ``sim.py``): the Seed tier keeps its rules and schedule, the others are Tropism's.

    ## Action Space
    `Discrete(V)`: the next token.

    | Num | Action |
    |---|---|
    | 0 … V-1 | answer with that token |
    | V | PEEK: look at the answer (only with `feedback="probe"`) |

    ## Observation Space
    A dictionary, or with `flat=True` the same numbers in one `Box(float32)` of shape `(H + 3,)`, in this order:

    | Key | Space | Meaning | Min | Max | Unit |
    |---|---|---|---|---|---|
    | `history` | `MultiDiscrete([V + 1] * H)` | last H tokens, oldest first | 0 | V (blank or masked) | token |
    | `prev_action` | `Discrete(A + 1)` | the last action | 0 | A (none yet) | action |
    | `prev_reward` | `Box(-1, 1, (1,))` | its reward | -1 | 1 | reward |
    | `query_k` | `Discrete(9)` | hops asked for; 0 except on Hop | 0 | 8 | hops |

    On Hop the history holds the permutation (its 8 images in order) once, when it begins to hold, and then each
    answer and the symbol asked about, which comes last.

    ## Rewards
    1 for a right answer, 0 for a wrong one, so that return / steps is accuracy.  Seed keeps the origin's -0.1 for
    a wrong answer, and a PEEK costs 0.2; both are rounded to float32, so that every face returns the same bits.

    ## Starting State
    The first token is uniform (1 to 9 on Seed), the first rule uniform (x + 1 on Seed).

    ## Episode End
    Never terminates.  Truncated after 1000 steps, by Gymnasium's ``TimeLimit``: as under any ``TimeLimit``, a step
    beyond is truncated again.  A lane of the vector environment refuses it (``ResetNeeded``).

    ## Arguments
    | Name | Default | Meaning |
    |---|---|---|
    | `flat` | `False` | one float32 vector instead of a dictionary |
    | `feedback` | `"reveal"` | what is shown of the answer: `reveal` (the token), `bandit` (the reward only), `probe` (the token after a PEEK), `closed` (the agent's own answer becomes the token) |
    | `schedule` | by tier | `geometric`, `periodic`, `minimum-dwell` or `cyclic` |
    | `hazard` | by tier | probability of a switch a step, in [0.001, 1] |
    | `period` | 30 | steps between switches of `periodic` and `cyclic` |
    | `min_dwell` | 10 | least duration of a rule in `minimum-dwell`, steps |
    | `noise` | by tier | probability of a random token, in [0, 0.9] |
    | `history` | 64 | tokens shown, H |
    | `library` | 0 | number of the rule library: another number, other rules |
    | `num_rules`, `active_rules`, `split`, `agreement` | by tier | see `Params` |

    ## Reset Options
    `reset(options={"token": x, "rule": r, "dwell": n, "previous_token": y})` fixes the first token, the first rule
    (an index into the library; on Hop the lexicographic number of the permutation), the steps until the first
    switch, and on Order2 the token before the first.  In a vector each value may be an array, one entry a lane.

    ## Info
    Labels that describe the regime which will judge the next answer: `rule`, `switched`, `since_switch`,
    `required_compute` (k on Hop, else 1), `target` (the right answer, noise included) and `stale_target` (what the
    rule before would answer, -1 if there was none).  `HideLabels` removes them.

    ## Rendering
    `rgb_array` (frames `uint8[480, 768, 3]`), `ansi` (text) and `human` (a window; needs `tropism[render]`): tokens
    over time in the colour of their rule, answers (disc right, cross wrong, diamond PEEK), accuracy, and the next
    token by the last one, where a rule is a curve (on Hop, the permutation and the hops asked for).  Frames show the
    truth, also where the agent does not see it.  `env.unwrapped.show_belief(tokens, rules)` or the wrapper
    `IdealBelief` add a belief.  `tropism.envs.patternworld.play.play(env_id)` lets a person play.

    ## Ideal Observer
    Exact on every tier and in every feedback mode, but for Recur with `bandit` or `probe`, where the belief (set of
    active rules × rule in use × masked token) has 13,952,480 states a lane.  In `reveal` mode no player can do
    better on average.  In the other modes answers also buy information; the optimal policy is then that of a
    partially observable decision problem, which nobody can compute here: what is offered is the exact belief with
    the most probable answer.

    ## Version History
    * v0: first version.
    """

    metadata = {"render_modes": ["rgb_array", "ansi", "human"], "render_fps": 8, "labels": LABELS}  # noqa: RUF012  as Gymnasium types it

    def __init__(
        self, render_mode: str | None = None, tier: str = "Switch", **overrides: Any
    ) -> None:
        super().__init__(render_mode)
        self.params = make_params(tier, **overrides)
        self.baselines = baseline_names(self.params)
        self.observation_space = observation_space(self.params)
        self.action_space = action_space(self.params)
        self._renderer = self._make_renderer()
        self.reference = self._renderer.recording if self._renderer else make_reference(self.params)
        self._num_actions = self.params.num_actions
        self._running = False
        self._flat, self._h, self._pad = (
            self.params.flat,
            self.params.history,
            self.params.vocabulary,
        )
        dtype = np.float32 if self._flat else np.int64
        self._tokens = np.empty(self._h + _ROOM + 16, dtype)

    # -- Gymnasium ------------------------------------------------------------------------------------------

    def _begin(
        self, key: Key, episode: int, options: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        checked = check_options(options, option_ranges(self.params))
        shown = self.reference.reset(key, episode, checked)
        self._end = self._h
        self._tokens[: self._h] = self._pad
        self._running = True
        self._show(shown)
        return self._observe(self._num_actions, 0.0), self._labels()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Answer with the next token (or PEEK, the last action, in ``probe`` mode)."""
        if not self._running:
            raise need_reset("before the first reset()")
        if action.__class__ is not int or not 0 <= action < self._num_actions:
            action = discrete_action(action, self._num_actions)
        reward, shown = self.reference.step(action)
        self._show(shown)
        return self._observe(action, reward), reward, False, False, self._labels()

    def make_baseline(self, name: str, num_lanes: int) -> Baseline:
        """The baseline ``name`` for ``num_lanes`` lanes (:mod:`tropism.envs.patternworld.baselines`)."""
        return make_baseline(name, self.params, num_lanes)

    def replay_belief(
        self, seeds: Sequence[int], actions: npt.NDArray[Any]
    ) -> dict[str, npt.NDArray[Any]]:
        """What the ideal observer believed while ``actions`` ``[B, T]`` were played from ``seeds``.

        See :func:`tropism.envs.patternworld.observer_replay.replay_belief`.
        """
        from tropism.envs.patternworld.observer_replay import replay_belief

        return replay_belief(self.params, seeds, actions)

    def render(self) -> Any:
        """A frame ``uint8[480, 768, 3]``, text, or ``None``, by ``render_mode``."""
        if self._renderer is None:
            logger.warn(
                "render() needs a render_mode: gymnasium.make(..., render_mode='rgb_array')"
            )
            return None
        if not self._running:
            raise ResetNeeded("render() was called before the first reset(): call reset() first")
        return self._renderer.render()

    def show_belief(self, tokens: Any = None, rules: Any = None) -> None:
        """Draw what somebody believes: ``tokens`` (``[V]``, of the next token), ``rules`` (``[R]``).

        Without a ``render_mode`` it does nothing.
        """
        if self._renderer is not None:
            self._renderer.believe(tokens, rules)

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys for ``gymnasium.utils.play``: see :func:`tropism.envs.patternworld.keys.keys_to_action`."""
        from tropism.envs.patternworld.keys import keys_to_action

        return keys_to_action(self.params)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()

    def _make_renderer(self) -> Any:
        """Whoever watches the episode; nobody without a render mode, so that nothing is recorded."""
        if self.render_mode is None:
            return None
        from tropism.envs.patternworld.render import Renderer

        return Renderer(self.params, self.render_mode, self.metadata["render_fps"])

    def _show(self, shown: tuple[int, ...]) -> None:
        end = self._end
        for token in shown:
            self._tokens[end] = token
            end += 1
        if end > self._h + _ROOM:
            self._tokens[: self._h] = self._tokens[end - self._h : end]
            end = self._h
        self._end = end

    def _observe(self, action: int, reward: float) -> Any:
        end, tokens = self._end, self._tokens
        if self._flat:
            # The three scalars stand where the next tokens will be written: one copy makes the observation.
            tokens[end] = action
            tokens[end + 1] = reward
            tokens[end + 2] = self.reference.query
            return tokens[end - self._h : end + 3].copy()
        return {
            "history": tokens[end - self._h : end].copy(),
            "prev_action": np.int64(action),
            "prev_reward": np.array([reward], np.float32),
            "query_k": np.int64(self.reference.query),
        }

    def _labels(self) -> dict[str, Any]:
        world = self.reference
        return {
            "rule": world.rule,
            "switched": world.switched,
            "since_switch": world.since,
            "required_compute": world.query or 1,
            "target": world.target,
            "stale_target": world.stale_target,
        }
