"""Human play: typed lines, single keys, a pseudo-terminal, Ctrl-C and the window."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest
from tests.envs.terminals import Terminal, environment

from tropism.envs.patternworld.game import Game
from tropism.envs.patternworld.observer import not_computable
from tropism.envs.patternworld.params import make_params
from tropism.envs.patternworld.play import play
from tropism.errors import OptionError, UnknownNameError, UnsupportedTaskError

SWITCH, HOP = "tropism/PatternWorld-Switch-v0", "tropism/PatternWorld-Hop-v0"
COMMAND = (
    "from tropism.envs.patternworld.play import play;"
    "play({env!r}, seed=3, steps={steps}, feedback={feedback!r})"
)


def typed(text, env_id=SWITCH, **options):
    screen = io.StringIO()
    result = play(env_id, source=io.StringIO(text), screen=screen, **{"seed": 3, **options})
    return result, screen.getvalue()


def truths(env_id, count, **options):
    game = Game(env_id, 3, **options)
    targets = []
    for _ in range(count):
        targets.append(game.world.reference.target)
        game.answer(targets[-1])
    return targets


def test_right_answers_score_and_the_ideal_observer_plays_along():
    targets = truths(SWITCH, 6)
    result, text = typed("".join(f"{t}\n" for t in targets), steps=6)
    assert (result.steps, result.right, result.score) == (6, 6, 6.0)
    assert result.ideal is not None
    assert 0 < result.ideal <= 6
    assert text.count("is right") == 6
    assert text.endswith(f"{result}\n")
    assert "\x1b" not in text


def test_a_wrong_answer_is_told_the_truth_only_where_the_agent_is():
    target = truths(SWITCH, 1)[0]
    wrong = f"{(target + 1) % 100}\n"
    assert f"is wrong, it is {target}" in typed(wrong, steps=1)[1]
    for feedback in ("bandit", "probe", "closed"):
        assert "it is" not in typed(wrong, steps=1, feedback=feedback)[1]


def test_a_look_costs_and_tells():
    result, text = typed("p\nq\n", feedback="probe")
    assert (result.steps, result.right) == (1, 0)
    assert result.score == pytest.approx(-0.2)
    assert f"it is {truths(SWITCH, 1)[0]}" in text


def test_nonsense_is_explained_and_costs_nothing():
    result, text = typed("100\n-1\nx\n\np\n²\n1.5\nq\n")
    assert result.steps == 0
    assert text.count("Type a number from 0 to 99, q to quit.") == 8


def test_the_end_of_the_input_ends_the_game():
    result, text = typed("5\n6")
    assert result.steps == 2
    assert text.endswith(f"{result}\n")


def test_hidden_tokens_are_dots():
    text = typed("5\nq\n", feedback="bandit")[1]
    assert "   ·   ?" in text


def test_hop_shows_each_permutation_once():
    text = typed("0\n" * 60, HOP, steps=60)[1]
    game = Game(HOP, 3)
    shown = 1
    for _ in range(59):
        game.answer(0)
        shown += game.world.reference.switched
    assert text.count("new permutation") == shown > 1


def test_where_no_ideal_observer_is_computable_there_is_no_ideal_score():
    params = make_params("Recur", feedback="bandit")
    assert not_computable(params)
    result, text = typed("5\n", "tropism/PatternWorld-Recur-v0", feedback="bandit")
    assert result.ideal is None
    assert "ideal" not in text


def test_an_episode_ends_by_itself():
    result, _ = typed("1\n" * 1100)
    assert result.steps == 1000


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "windw"}, UnknownNameError, "window"),
        ({"steps": 0}, OptionError, "steps must be"),
        ({"seed": -1}, OptionError, "seed must be"),
        ({"feedback": "revel"}, UnknownNameError, "reveal"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        play(SWITCH, **options)


def test_other_environments_are_refused():
    with pytest.raises(UnsupportedTaskError, match="CartPole"):
        play("CartPole-v1")


def command(env_id, steps=None, feedback=None):
    return [sys.executable, "-c", COMMAND.format(env=env_id, steps=steps, feedback=feedback)]


def test_piped_answers_need_no_terminal():
    done = subprocess.run(
        command(SWITCH),
        input="1\n2\n",
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "0 of 2 answers right" in done.stdout


def test_in_a_terminal_numbers_are_typed_and_colours_shown():
    terminal = Terminal(command(SWITCH))
    target = truths(SWITCH, 1)[0]
    terminal.expect("next> ")
    os.write(terminal.master, f"{target}\n".encode())
    terminal.expect("\x1b[38;2;70;205;165m")
    terminal.expect("is right")
    terminal.expect("next> ")
    os.write(terminal.master, b"q\n")
    terminal.expect("1 of 1 answers right")
    terminal.close()


def test_on_hop_one_key_answers_and_the_terminal_is_restored():
    terminal = Terminal(command(HOP))
    targets = truths(HOP, 3)
    for target in targets:
        terminal.expect("next> ")
        os.write(terminal.master, str(target).encode())
        terminal.expect(f"● {target} is right")
    terminal.expect("next> ")
    os.write(terminal.master, b"q")
    terminal.expect("3 of 3 answers right")
    terminal.close()


@pytest.mark.parametrize("env_id", [SWITCH, HOP])
def test_ctrl_c_ends_the_game_with_a_summary_and_the_terminal_restored(env_id):
    terminal = Terminal(command(env_id))
    terminal.expect("next> ")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.expect("0 of 0 answers right")
    terminal.close()


def test_the_window_takes_keys(monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    target = truths(SWITCH, 1, feedback="probe")[0]
    keys = [*str(target), "\b", str(target)[-1], "\r", "9", "9", "9", "\r", "p", "z", "\r", "q"]
    events = [pygame.event.Event(pygame.KEYDOWN, key=ord(k), unicode=k) for k in keys]
    monkeypatch.setattr(pygame.event, "wait", lambda: events.pop(0))
    screen = io.StringIO()
    result = play(SWITCH, "window", seed=3, feedback="probe", screen=screen)
    assert (result.steps, result.right) == (3, 1)
    assert result.score == pytest.approx(0.8)
    assert not events
    assert not pygame.display.get_init()


def test_on_hop_one_key_answers_in_the_window_and_closing_it_quits(monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    events = [pygame.event.Event(pygame.KEYDOWN, key=ord(k), unicode=k) for k in "189"]
    events.append(pygame.event.Event(pygame.QUIT))
    monkeypatch.setattr(pygame.event, "wait", lambda: events.pop(0))
    assert play(HOP, "window", seed=3, screen=io.StringIO()).steps == 1
