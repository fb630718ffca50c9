"""What a game is: its agents and their spaces (docs/bridge-protocol.md, section 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gymnasium import spaces

from tropism.bridges.errors import SpecMismatch
from tropism.bridges.protocol.header import MAX_MESSAGE, Type
from tropism.bridges.protocol.jsons import is_count, read_json, write_json
from tropism.bridges.protocol.layout import Layout
from tropism.bridges.protocol.spaces import space_to_json
from tropism.bridges.protocol.spaces_read import short

Json = dict[str, Any]


class AgentSpec(NamedTuple):
    """One agent of a game.

    A space may be given as its JSON, which says how long its sequences and graphs may be.
    """

    id: str
    observation_space: Any
    action_space: Any


class Spec:
    """A game's description, and the layouts that follow from it.

    Args:
        name: of the game.
        agents: one or more; ids are unique and not empty.
        hold: whether in latest-frame mode an action lasts until the next one.
        render: height, width and 3 of what CALL `render` returns, or None.
        about: anything JSON can say.

    Raises:
        InvalidValue: the protocol cannot say one of the spaces, or `about` is no JSON.
        SpecMismatch: the ids are not unique, or the sizes are beyond 2 GiB.

    Attributes:
        agents: with Gymnasium's spaces.
        observations: a `Layout` for each agent.
        actions: a `Layout` for each agent.
        hash: first 16 bytes of the SHA-256 of the body of SPEC; `hash_hex` is the same in hexadecimal.
    """

    name: str
    agents: tuple[AgentSpec, ...]
    hold: bool
    render: tuple[int, int, int] | None
    about: Json
    observations: tuple[Layout, ...]
    actions: tuple[Layout, ...]

    def __init__(
        self,
        name: str,
        agents: Sequence[AgentSpec],
        hold: bool = False,
        render: Sequence[int] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        description = {
            "name": name,
            "agents": [
                {"id": id_, "obs": _json(observation), "act": _json(action)}
                for id_, observation, action in agents
            ],
            "hold": hold,
            "render": None if render is None else list(render),
            "about": dict(about or {}),
        }
        self._build(description, write_json(description), 2**31)

    @classmethod
    def from_bytes(
        cls, body: bytes | bytearray | memoryview, max_message: int = MAX_MESSAGE
    ) -> Spec:
        """Read the body of SPEC.

        Raises:
            ProtocolError: it is not JSON.
            SpecMismatch: it is no specification; its `path` names the place.
        """
        spec = cls.__new__(cls)
        spec._build(read_json(body, Type.SPEC), bytes(body), max_message)
        return spec

    def to_bytes(self) -> bytes:
        """The body of SPEC: for one that was read, the very bytes that came."""
        return self._body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._body == other._body

    def __hash__(self) -> int:
        return hash(self._body)

    def __repr__(self) -> str:
        return f"Spec({self.name!r}, {len(self.agents)} agents, {self.hash_hex})"

    def __reduce__(self) -> tuple:
        return Spec.from_bytes, (self._body, 2**31)

    def _build(self, description: Json, body: bytes, max_message: int) -> None:
        self._body = body
        self.hash = hashlib.sha256(body).digest()[:16]
        self.hash_hex = self.hash.hex()
        self.name = _expect(description, "name", str)
        self.hold = _expect(description, "hold", bool, False)
        self.about = _expect(description, "about", dict, {})
        self.render = _render(description.get("render"))
        agents = _expect(description, "agents", list)
        self.observations = _layouts(agents, "obs", max_message)
        self.actions = _layouts(agents, "act", max_message)
        ids = _ids(agents)
        parts = zip(ids, self.observations, self.actions, strict=True)
        self.agents = tuple(AgentSpec(id_, o.space, a.space) for id_, o, a in parts)


def _json(space: spaces.Space | Json) -> Json:
    return space_to_json(space) if isinstance(space, spaces.Space) else space


def _expect(description: Json, key: str, kind: type, default: Any = None) -> Any:
    value = description.get(key, default)
    if not isinstance(value, kind):
        raise SpecMismatch(key, kind.__name__, short(value))
    return value


def _layouts(agents: list[Any], key: str, max_message: int) -> tuple[Layout, ...]:
    """One layout for each agent; all together must fit a message."""
    layouts, left = [], max_message - 64  # what stands around them
    for i, agent in enumerate(agents):
        if not isinstance(agent, dict):
            raise SpecMismatch(f"agents[{i}]", "an object", short(agent))
        space: Any = agent.get(key)  # Layout checks what it is
        layouts.append(Layout(space, f"agents[{i}].{key}", left))
        left -= layouts[-1].size + 16
    return tuple(layouts)


def _ids(agents: list[Json]) -> list[str]:
    ids = [agent.get("id") for agent in agents]
    if not ids or not all(isinstance(i, str) and i for i in ids) or len(set(ids)) < len(ids):
        raise SpecMismatch("agents", "one or more with ids that differ", short(ids))
    return ids  # type: ignore[return-value]


def _render(shape: Any) -> tuple[int, int, int] | None:
    if shape is None:
        return None
    if not isinstance(shape, list) or len(shape) != 3 or not all(map(is_count, shape)):
        raise SpecMismatch("render", "null or [height, width, 3]", short(shape))
    height, width, channels = shape
    if channels != 3 or not 0 < height * width < 2**30:
        raise SpecMismatch("render", "null or [height, width, 3]", short(shape))
    return height, width, channels
