"""Human play of Chemotaxis: typed letters, keys in a pseudo-terminal, Ctrl-C, the window."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest
from tests.envs.terminals import Terminal

from tropism.envs.chemotaxis.game import Game
from tropism.envs.chemotaxis.play import play
from tropism.errors import OptionError, UnknownNameError, UnsupportedTaskError

LINE, PLANE = "tropism/Chemotaxis-L0.2-v0", "tropism/Chemotaxis-L0.1-v0"
COMMAND = "from tropism.envs.chemotaxis.play import play; play({env!r}, seed=3)"


def typed(text, env_id=LINE, **options):
    screen = io.StringIO()
    result = play(env_id, source=io.StringIO(text), screen=screen, **{"seed": 3, **options})
    return result, screen.getvalue()


def test_letters_move_and_the_summary_compares_with_the_baselines():
    result, text = typed("ddd\n..\naw\nq\n")
    game = Game(LINE, 3)
    for action in (4, 4, 4, 0, 0, 3, 1):
        game.act(action)
    assert result == game.result()
    assert (result.steps, result.fate) == (7, "")
    assert result.rivals.keys() == {"greedy", "oracle"}
    assert result.rivals["oracle"] > result.rivals["greedy"] > 0
    assert text.endswith(f"{result}\n")
    assert "stopped after 7 steps" in text
    assert "\x1b" not in text


def test_arrows_are_keys_in_a_line_too():
    result, _ = typed("\x1b[C\x1bOC\x1b[D\nq\n", PLANE)
    game = Game(PLANE, 3)
    for action in (4, 4, 3):
        game.act(action)
    assert result.fitness == game.result().fitness
    assert result.steps == 3


def test_the_player_sees_what_the_organism_knows_until_asking_for_more():
    hidden, shown = typed("v\nq\n")[1].split("Chemotaxis L0.2 · ")[1:]
    assert "●" not in hidden.splitlines()[1]
    assert "✱" in shown.splitlines()[1]
    again = typed("v\nv\nq\n")[1].split("Chemotaxis L0.2 · ")[3]
    assert "✱" not in again.splitlines()[1]


def test_nonsense_is_explained_and_costs_nothing():
    result, text = typed("x\n5\nq\n")
    assert result.steps == 0
    assert text.count("space or . stays") == 3


def test_the_end_of_the_input_ends_the_game():
    assert typed("dd\nd")[0].steps == 3


def test_a_life_ends_by_itself_and_shows_the_truth():
    result, text = typed(" " * 200 + "\n")
    assert (result.steps, result.fate) == (128, "lived to the end")
    assert "✱" in text


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "windw"}, UnknownNameError, "window"),
        ({"steps": 0}, OptionError, "steps must be"),
        ({"seed": -1}, OptionError, "seed must be"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        play(LINE, **options)


def test_other_environments_are_refused():
    with pytest.raises(UnsupportedTaskError, match="CartPole"):
        play("CartPole-v1")


def test_in_a_terminal_arrows_move_at_once_and_colours_show():
    terminal = Terminal([sys.executable, "-c", COMMAND.format(env=LINE)])
    terminal.expect("step 0 / 128")
    for step, key in enumerate((b"\x1b[C", b"\x1b[D", b" ", b"d"), start=1):
        os.write(terminal.master, key)
        terminal.expect(f"step {step} / 128")
        terminal.expect("\x1b[38;2;")
        terminal.expect("visits")
    os.write(terminal.master, b"q")
    terminal.expect("stopped after 4 steps")
    terminal.close()


def test_escape_quits_and_restores_the_terminal():
    terminal = Terminal([sys.executable, "-c", COMMAND.format(env=PLANE)])
    terminal.expect("step 0 / 128")
    os.write(terminal.master, b"\x1b")
    terminal.expect("stopped after 0 steps")
    terminal.close()


def test_ctrl_c_ends_the_game_with_a_summary_and_the_terminal_restored():
    terminal = Terminal([sys.executable, "-c", COMMAND.format(env=LINE)])
    terminal.expect("step 0 / 128")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.expect("stopped after 0 steps")
    terminal.close()


def press(monkeypatch, *keys):
    """Queue key presses (pygame's codes and their letters), then the closing of the window."""
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    events = [pygame.event.Event(pygame.KEYDOWN, key=key, unicode=letter) for key, letter in keys]
    events.append(pygame.event.Event(pygame.QUIT))
    monkeypatch.setattr(pygame.event, "wait", lambda: events.pop(0))
    return events, pygame


def test_the_window_takes_keys_and_closing_it_quits(monkeypatch):
    pygame = pytest.importorskip("pygame")
    moves = [(pygame.K_RIGHT, ""), (pygame.K_LEFT, ""), (pygame.K_SPACE, " "), (pygame.K_w, "w")]
    events, _ = press(monkeypatch, *moves, (pygame.K_v, "v"), (pygame.K_z, "z"))
    result = play(PLANE, "window", seed=3, screen=io.StringIO())
    assert result.steps == 4
    assert not events
    assert not pygame.display.get_init()


def test_after_the_end_any_key_closes_the_window(monkeypatch):
    pygame = pytest.importorskip("pygame")
    events, _ = press(monkeypatch, *[(pygame.K_RIGHT, "")] * 3)
    assert play(LINE, "window", seed=3, steps=2, screen=io.StringIO()).steps == 2
    assert len(events) == 1, "the third key closed the window"
