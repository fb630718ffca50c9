"""BonkLink v1 as a `gymnasium.Env`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tropism.bridges.errors import BridgeError, InvalidValue, SpecMismatch
from tropism.bridges.legacy.bonklink import PORT, Action, State, click_at
from tropism.bridges.legacy.bonklink_client import BonkLinkClient
from tropism.bridges.legacy.bonklink_frames import decode_frame
from tropism.bridges.legacy.bonklink_inbox import Mode, Reading

MENUS = ("Gameplay", "BootScene", "MainMenu", "LoadingScreen", "GeneratedMap", "MapSelect")
"""Names of menus that the original game shows; index `len(MENUS)` stands for any other."""
OPTIONS_SHOWN = 64

Judge = Callable[[State, State], tuple[float, bool]]


class BonkLinkEnv(gymnasium.Env[dict[str, Any], dict[str, Any]]):
    """A BonkLink game, the original plugin or another one.

    It runs in its own time: a step sends an action and waits for the next state, which may not show the
    effect of the action yet.

    Observations: `position`, `velocity` (3 each), `vitals` (health, its maximum), `game_time` (s), `playing`,
    `paused`, `enemies` (position and health, zeros where there is none), `enemy_count`, `menu` (see `MENUS`),
    `options` (how many there are to level up), and `frame` if one is wanted. Texts and events are in info.

    Actions: `move`, `aim` in [-1, 1], `buttons` (fire, ability, interact), `click` (whether to), and `point`
    to click at, in [0, 1] from the top left.

    BonkLink v1 has no reset, reward or end. With a game that knows the extension (docs/bridge-legacy.md) they
    are the game's; else a reset only waits for a state, and rewards and ends are what `judge` makes of two
    states: by default 0.0 and never.

    Args:
        host: of the game.
        port: of the game.
        mode: "latest" or "fifo", see `BonkLinkClient`.
        extension: ask for the extension.
        hold: let an action last until the next one.
        frame: (height, width) of frames, or None to leave them out. They are kept until a newer one comes.
        bottom_up: raw frames come bottom row first.
        enemies: how many enemies an observation has room for.
        judge: (state before, state after) -> (reward, terminated), for games without the extension.
        timeouts: seconds for "connect", "step", "reset".

    Attributes:
        reading: the last `Reading`, with everything that came.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = PORT,
        *,
        mode: Mode = "latest",
        extension: bool = True,
        hold: bool = True,
        frame: tuple[int, int] | None = None,
        bottom_up: bool = True,
        enemies: int = 10,
        judge: Judge | None = None,
        timeouts: dict[str, float] | None = None,
    ) -> None:
        self.frame, self.bottom_up, self.enemies = frame, bottom_up, enemies
        self.judge: Judge = judge or _no_judge
        self.timeouts = {"connect": 30.0, "step": 1.0, "reset": 60.0, **(timeouts or {})}
        self.observation_space = _observation_space(frame, enemies)
        self.action_space = _action_space()
        connect = self.timeouts["connect"]
        options: dict[str, Any] = {"mode": mode, "extension": extension, "hold": hold}
        self.client = BonkLinkClient(host, port, timeout=connect, **options)
        self._lost, self._size = False, frame or (180, 320)
        self._picture = np.zeros((*self._size, 3), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode if the game can, else wait for a state; connects again if the game was lost.

        Raises:
            BridgeError: as `BonkLinkClient.connect`, `read`, `reset`.
        """
        super().reset(seed=seed, options=options)
        if self._lost:
            self.client.connect(self.timeouts["connect"])
        self._lost = True  # until all has gone well
        if self.client.negotiate():
            self.reading = self.client.reset(seed, self.timeouts["reset"])
        else:
            self.reading = self.client.read(self.timeouts["reset"])
        self._lost = False
        return self._observe(self.reading), self._info(self.reading, seed)

    def step(
        self, action: dict[str, Any]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Send an action and wait for the next state.

        Raises:
            BridgeError: as `BonkLinkClient.send` and `read`; then `reset` connects again.
        """
        try:
            self.client.send(self._act(action), self.timeouts["step"])
            reading = self.client.read(self.timeouts["step"])
        except BridgeError:
            self._lost = True
            raise
        reward, terminated, truncated = self._judge(self.reading.state, reading.state)
        self.reading = reading
        return self._observe(reading), reward, terminated, truncated, self._info(reading)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def _judge(self, before: State, after: State) -> tuple[float, bool, bool]:
        if after.outcome is None or before.outcome is None:
            reward, terminated = self.judge(before, after)
            return float(reward), bool(terminated), False
        reward = after.outcome.total - before.outcome.total
        return reward, after.outcome.terminated, after.outcome.truncated

    def _act(self, action: dict[str, Any]) -> Action:
        move, aim = (tuple(np.clip(action[key], -1, 1).tolist()) for key in ("move", "aim"))
        height, width = self._size
        x, y = np.clip(action["point"], 0, 1).tolist()
        click = click_at(x, y, width, height) if action["click"] else None
        return Action(move, aim, *(bool(button) for button in action["buttons"]), click=click)

    def _observe(self, reading: Reading) -> dict[str, Any]:
        state = reading.state
        count = min(len(state.enemies), self.enemies)
        rows = [(*enemy.position, enemy.health) for enemy in state.enemies[:count]]
        enemies = np.zeros((self.enemies, 4), np.float32)
        enemies[:count] = np.array(rows, np.float32).reshape(count, 4)
        menu = MENUS.index(state.menu) if state.menu in MENUS else len(MENUS)
        observation = {
            "position": np.array(state.position, np.float32),
            "velocity": np.array(state.velocity, np.float32),
            "vitals": np.array([state.health, state.max_health], np.float32),
            "game_time": np.array([state.game_time], np.float32),
            "playing": np.int64(state.is_playing),
            "paused": np.int64(state.is_paused),
            "enemies": enemies,
            "enemy_count": np.int64(count),
            "menu": np.int64(menu),
            "options": np.int64(len(state.level_up)),
        }
        _check_finite(observation)
        return {**observation, **self._pictures(reading)}

    def _pictures(self, reading: Reading) -> dict[str, np.ndarray]:
        if self.frame is None:
            return {}
        if reading.frame:
            picture = decode_frame(reading.frame, bottom_up=self.bottom_up)
            if picture.shape != self._picture.shape:
                raise SpecMismatch("frame", self._picture.shape, picture.shape)
            self._picture = picture
        return {"frame": self._picture.copy()}

    def _info(self, reading: Reading, seed: int | None = None) -> dict[str, Any]:
        state, outcome = reading.state, reading.state.outcome
        info: dict[str, Any] = {
            "events": [event._asdict() for event in reading.events],
            "menu": state.menu,
            "level_up": list(state.level_up),
            "skipped": reading.skipped,
            "new_frame": bool(reading.frame),
        }
        if state.human is not None:
            info["human"] = state.human._asdict()
        if seed is not None and (outcome is None or outcome.seed_ignored):
            info["seed_ignored"] = True
        return info


def _no_judge(_before: State, _after: State) -> tuple[float, bool]:
    return 0.0, False


def _observation_space(frame: tuple[int, int] | None, enemies: int) -> spaces.Dict:
    def real(*shape: int) -> spaces.Box:
        most = np.finfo(np.float32).max  # any finite number
        return spaces.Box(-most, most, shape, np.float32)

    found: dict[str, gymnasium.Space] = {
        "position": real(3),
        "velocity": real(3),
        "vitals": real(2),
        "game_time": real(1),
        "playing": spaces.Discrete(2),
        "paused": spaces.Discrete(2),
        "enemies": real(enemies, 4),
        "enemy_count": spaces.Discrete(enemies + 1),
        "menu": spaces.Discrete(len(MENUS) + 1),
        "options": spaces.Discrete(OPTIONS_SHOWN + 1),
    }
    if frame is not None:
        found["frame"] = spaces.Box(0, 255, (*frame, 3), np.uint8)
    return spaces.Dict(found)


def _action_space() -> spaces.Dict:
    return spaces.Dict(
        {
            "move": spaces.Box(-1, 1, (2,), np.float32),
            "aim": spaces.Box(-1, 1, (2,), np.float32),
            "buttons": spaces.MultiBinary(3),
            "click": spaces.Discrete(2),
            "point": spaces.Box(0, 1, (2,), np.float32),
        }
    )


def _check_finite(observation: dict[str, Any]) -> None:
    for name, value in observation.items():
        if not np.isfinite(value).all():
            raise InvalidValue(f"the game sent {name} = {value}")
