"""The dynamics of PatternWorld for one environment, in plain Python: the text to read and to trust.

It is also what ``gym.make`` runs, because plain integers beat array code at batch 1.  The array kernel, the
vector environment and the functional face are held to the same bits by a parity test.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from math import factorial

from tropism.envs.core.random import Key, below, bits, episode_key
from tropism.envs.patternworld.params import SYMBOLS, Params
from tropism.envs.patternworld.permutations import hop, rank, unrank
from tropism.envs.patternworld.rules import (
    DWELL,
    NOISE,
    NOISE_TOKEN,
    QUERY,
    RULE,
    SHUFFLE,
    SHUFFLE_STEP,
    SYMBOL,
    TOKEN,
    dwell_thresholds,
    library,
)


class Reference:
    """One PatternWorld whose rules come from a library (every tier but Hop).

    Attributes after :meth:`reset` and each :meth:`step`:
        t: answers given so far.
        token, previous: the last token and the one before it.
        rule, stale_rule: the regime that judges the next answer, and the one before it (-1 if none).
        switched, since: whether the regime changed just now, and how many answers it has judged.
        target: the next token, noise included: the right answer.
        stale_target: what the stale rule would answer; -1 if there is none.
        query: the number of hops asked for (Hop only, else 0).
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._wrong, self._right, self._peek_reward = params.rewards
        self._peek = params.vocabulary if params.feedback == "probe" else -1
        self._closed = params.feedback == "closed"
        self._shows = params.feedback in ("reveal", "closed")
        self._pad = params.vocabulary
        self._noise = int(params.noise * 2**32)
        self._floor = params.dwell[0]
        self._thresholds: list[int] = dwell_thresholds(params).tolist()
        self.query = 0
        self._load_rules()

    def _load_rules(self) -> None:
        rules = library(self.params)
        self._table: list[list[list[int]]] = rules.table.tolist()
        self._phased = rules.context == "phase"
        self._second_order = rules.context == "previous"
        self._num_rules = rules.num_rules
        self._successors = None if rules.successors is None else rules.successors.tolist()
        self._num_successors = (
            None if rules.num_successors is None else rules.num_successors.tolist()
        )

    # -- an episode -----------------------------------------------------------------------------------------

    def reset(self, key: Key, episode: int, options: Mapping[str, int]) -> tuple[int, ...]:
        """Begin an episode and return the tokens shown, oldest first.

        ``options`` may fix ``token``, ``previous_token``, ``rule`` and ``dwell`` (of the first regime).
        """
        self._key = episode_key(key, episode)
        self.t = self.since = self._regime = 0
        self.switched, self.stale_rule = False, -1
        self._first_rule(options.get("rule"))
        self._next_switch = options.get("dwell") or self._draw_dwell()
        return self._first_tokens(options)

    def step(self, action: int) -> tuple[float, tuple[int, ...]]:
        """Judge ``action`` (valid: ``0 <= action < num_actions``); return the reward and the tokens shown."""
        target = self.target
        reward = self._right if action == target else self._wrong
        shown = answer = action if self._closed else target
        if not self._shows and action != self._peek:
            shown = self._pad
        if action == self._peek:
            reward = self._peek_reward
        self.t += 1
        self.previous, self.token = self.token, answer
        if self.t == self._next_switch:
            self._switch()
            self.switched, self.since = True, 0
        else:
            self.switched = False
            self.since += 1
        return reward, (shown, *self._ask())

    # -- tokens ---------------------------------------------------------------------------------------------

    def _first_tokens(self, options: Mapping[str, int]) -> tuple[int, ...]:
        low, high = self.params.first_token or (0, self.params.vocabulary - 1)
        drawn = low + below(bits(self._key, 0, TOKEN), high - low + 1)
        self.token = options.get("token", drawn)
        drawn = low + below(bits(self._key, 1, TOKEN), high - low + 1)
        self.previous = options.get("previous_token", drawn)
        self._ask()
        return (self.previous, self.token) if self._second_order else (self.token,)

    def _ask(self) -> tuple[int, ...]:
        """Fix the next target; return what is shown beside the last answer (nothing, but on Hop)."""
        context = self.t & 1 if self._phased else self.previous if self._second_order else 0
        self.target = self._table[self.rule][context][self.token]
        self.stale_target = (
            -1 if self.stale_rule < 0 else self._table[self.stale_rule][context][self.token]
        )
        if self._noise and bits(self._key, self.t, NOISE) < self._noise:
            self.target = below(bits(self._key, self.t, NOISE_TOKEN), self.params.vocabulary)
        return ()

    # -- regimes --------------------------------------------------------------------------------------------

    def _draw_dwell(self) -> int:
        """Answers that the current regime will judge."""
        word = bits(self._key, self._regime, DWELL)
        return self._floor + 1 + len(self._thresholds) - bisect_right(self._thresholds, word)

    def _first_rule(self, forced: int | None) -> None:
        word = bits(self._key, 0, RULE)
        if self.params.active_rules:
            self._active = self._shuffle(self._num_rules, self.params.active_rules)
            if forced is not None:
                self._active = [
                    forced,
                    *(self._active[0] if r == forced else r for r in self._active[1:]),
                ]
            self._slot = 0
            self.rule = self._active[0]
        elif forced is not None:
            self.rule = forced
        else:
            self.rule = 0 if self.params.schedule == "cyclic" else below(word, self._num_rules)

    def _switch(self) -> None:
        """Take a rule that differs from the current one, and draw how long it lasts."""
        self._regime += 1
        self.stale_rule = self.rule
        word = bits(self._key, self._regime, RULE)
        cyclic = self.params.schedule == "cyclic"
        if self.params.active_rules:
            n = len(self._active)
            self._slot = (self._slot + 1 + (0 if cyclic else below(word, n - 1))) % n
            self.rule = self._active[self._slot]
        elif self._successors is not None and self._num_successors is not None:
            n = self._num_successors[self.rule][self.token]
            self.rule = self._successors[self.rule][self.token][below(word, n)]
        else:
            n = self._num_rules
            self.rule = (self.rule + 1 + (0 if cyclic else below(word, n - 1))) % n
        self._next_switch = self.t + self._draw_dwell()

    def _shuffle(self, n: int, picks: int) -> list[int]:
        """The first ``picks`` of a Fisher-Yates shuffle of ``range(n)``."""
        items = list(range(n))
        for i in range(picks):
            j = i + below(bits(self._key, self._regime * SHUFFLE_STEP + i, SHUFFLE), n - i)
            items[i], items[j] = items[j], items[i]
        return items[:picks]


class HopReference(Reference):
    """Hop: each regime is a permutation, shown once in full; a query asks where ``k`` hops from a symbol lead."""

    def _load_rules(self) -> None:
        self._num_rules = factorial(SYMBOLS)

    def _first_rule(self, forced: int | None) -> None:
        self.permutation = self._shuffle(SYMBOLS, SYMBOLS) if forced is None else unrank(forced)
        self.stale_permutation: list[int] = []
        self.rule = rank(self.permutation)

    def _switch(self) -> None:
        self._regime += 1
        self.stale_rule, self.stale_permutation = self.rule, self.permutation
        self.permutation = self._shuffle(SYMBOLS, SYMBOLS)
        if self.permutation == self.stale_permutation:
            self.permutation[:2] = self.permutation[1], self.permutation[0]
        self.rule = rank(self.permutation)
        self._next_switch = self.t + self._draw_dwell()

    def _first_tokens(self, options: Mapping[str, int]) -> tuple[int, ...]:
        self.previous = 0
        self._ask(options.get("token"))
        return (*self.permutation, self.token)

    def _ask(self, forced: int | None = None) -> tuple[int, ...]:
        drawn = below(bits(self._key, self.t, SYMBOL), SYMBOLS)
        self.token = drawn if forced is None else forced
        self.query = 1 + below(bits(self._key, self.t, QUERY), SYMBOLS)
        self.target = hop(self.permutation, self.token, self.query)
        self.stale_target = (
            hop(self.stale_permutation, self.token, self.query) if self.stale_permutation else -1
        )
        return (*self.permutation, self.token) if self.switched else (self.token,)


def make_reference(params: Params) -> Reference:
    """The reference dynamics of ``params``."""
    kind: Callable[[Params], Reference] = HopReference if params.family == "hop" else Reference
    return kind(params)
