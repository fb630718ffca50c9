"""The batched dynamics of the Hop tier, whose rules are permutations drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropism.envs.patternworld.kernel import Kernel
from tropism.envs.patternworld.kernel_regimes import State, choose
from tropism.envs.patternworld.params import SYMBOLS, Params
from tropism.envs.patternworld.permutations import array_hop, array_rank, array_unrank
from tropism.envs.patternworld.rules import QUERY, SYMBOL


class HopKernel(Kernel):
    """Hop over an array namespace: ``State.active`` is the permutation, ``stale_active`` the one before."""

    def _load_rules(self) -> None:
        """Nothing to load."""

    def _query(self, state: State) -> Any:
        return state.query

    def _first_rule(self, state: State, forced: Any) -> State:
        xp, active = self.xp, self._shuffle(state, SYMBOLS, SYMBOLS)
        if forced is not None:
            wanted = array_unrank(xp, xp.maximum(forced, 0))
            active = xp.where((forced >= 0)[..., None], wanted, active)
        return state._replace(active=active, stale_active=active, rule=array_rank(xp, active))

    def _next_rule(self, state: State, word: Any) -> State:  # noqa: ARG002  the shuffle draws its own
        xp, fresh = self.xp, self._shuffle(state, SYMBOLS, SYMBOLS)
        same = (fresh == state.active).all(-1)[..., None]
        swapped = xp.concatenate([fresh[..., 1:2], fresh[..., :1], fresh[..., 2:]], -1)
        fresh = xp.where(same, swapped, fresh)
        return state._replace(active=fresh, stale_active=state.active, rule=array_rank(xp, fresh))

    def _first_tokens(self, state: State, forced: Mapping[str, Any]) -> State:
        return self._ask(state, [], forced.get("token"))

    def _ask(self, state: State, shown: list[Any], forced: Any = None) -> State:
        """Draw a symbol and the hops asked for; list the permutation when it is new."""
        xp, hashed = self.xp, self.hash
        drawn = hashed.below(hashed.bits(state.draw, state.t, SYMBOL), SYMBOLS)
        token = choose(xp, forced, drawn)
        query = 1 + hashed.below(hashed.bits(state.draw, state.t, QUERY), SYMBOLS)
        listing = self._push(state.history, [*shown, state.active, token[..., None]])
        plain = self._push(state.history, [*shown, token[..., None]])
        new = (state.switched | (state.t == 0))[..., None]
        return state._replace(
            token=token,
            query=query,
            target=array_hop(xp, state.active, token, query),
            history=xp.where(new, listing, plain),
        )

    def _stale_target(self, state: State) -> Any:
        stale = array_hop(self.xp, state.stale_active, state.token, state.query)
        return self.xp.where(state.stale_rule < 0, -1, stale)


def make_kernel(xp: Any, params: Params) -> Kernel:
    """The kernel of ``params`` over ``numpy`` or ``jax.numpy``."""
    return (HopKernel if params.family == "hop" else Kernel)(xp, params)
