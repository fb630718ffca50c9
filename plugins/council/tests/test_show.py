from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.metadata import EntryPoint
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tropism.agents.contract import Budget, Decision, Policy, Task
from tropism.agents.episodes import Episode
from tropism.agents.plugins import PluginHost
from tropism.agents.runs import Run, save_policy
from tropism.errors import ArtifactError, OptionError, UnknownNameError
from tropism_council.agent import CouncilAgent
from tropism_council.commands import council
from tropism_council.config import CouncilConfig
from tropism_council.reinforced_policy import ReinforcedPolicy
from tropism_council.reinforcement import Practice
from tropism_council.show import Shown, held_out, one_thread, played, show
from tropism_council.show_draw import spread, ticks
from tropism_council.show_figures import (
    OFFSETS,
    TABLE,
    alignment,
    around_switches,
    band,
    by_depth,
    figure,
    mean_of,
    reliability,
)
from tropism_council.show_page import page
from tropism_council.show_play import Life, play, with_gains
from tropism_council.show_run import read_run
from tropism_council.show_strip import strip
from tropism_council.show_training import training
from tropism_council.show_words import verdict

SWITCH = "tropism/PatternWorld-Switch-v0"
ENV = {"max_episode_steps": 60, "hazard": 0.1}
OPTIONS = {"width": 16, "heads": 2, "lanes": 8, "stretch": 16, "threads": 1}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a finished run, as `tropism train` leaves it."""
    directory = tmp_path_factory.mktemp("runs") / "a <b> & c"
    told = {"agent": "council", "options": OPTIONS, "env_id": SWITCH, "env_options": ENV}
    with Run(directory, {**told, "env_steps": 6000, "seed": 3}) as opened:
        agent = CouncilAgent(CouncilAgent.Config(**OPTIONS), 3)
        policy = agent.train(Task(SWITCH, ENV), Budget(6000), opened)
        save_policy(policy, directory / "policy")
    return directory


@pytest.fixture(scope="module")
def shown(run):
    """That run, played."""
    trained = read_run(run)
    return played(trained, held_out(trained.task, 3, None))


@pytest.fixture(scope="module")
def text(shown):
    """The page about it."""
    return page(shown)


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def life(length=40, switches=(), thinks=None, loss=None, told=None, **labels):
    """An episode made by hand; the right answer is always 0, and so is the action."""
    switched = np.isin(np.arange(length), list(switches))
    given = {"switched": switched, "target": np.zeros(length, np.int64), **labels}
    gated = np.zeros(length, np.bool_) if thinks is None else np.asarray(thinks, np.bool_)
    episode = Episode(
        seed=1,
        reward=np.ones(length),
        action=np.zeros(length, np.int64),
        compute=1 + 4 * gated.astype(np.int64),
        gated=gated,
        labels=given,
        target_log_prob=None if loss is None else -np.asarray(loss, np.float32),
        action_hash="0123456789abcdef",
    )
    return Life(episode, told or {})


class Tags(HTMLParser):
    """Holds that every tag is closed, and counts them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def call(*arguments):
    return CliRunner().invoke(council, [str(a) for a in arguments], catch_exceptions=False)


def test_the_command_writes_one_page_that_loads_nothing(run, tmp_path):
    path = tmp_path / "page.html"
    done = call("show", run, "--episodes", 2, "--output", path)
    assert (done.exit_code, done.output) == (0, f"{path} written\n")
    text = path.read_text()
    tags = Tags(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(tags.seen)
    names = {name for _, name, _ in tags.attributes}
    assert not names & {"src", "href", "xlink:href", "onload"}
    assert not re.search(r"https?://(?!jfly)|@import|url\(", text)
    assert tags.seen.count("svg") == text.count("</title>") - text.count("<g><title>") - 1
    regions = [value for tag, name, value in tags.attributes if name == "tabindex"]
    assert set(regions) == {"0"}
    assert "nan" not in re.sub(r"[a-z]+nan|nan[a-z]+", "", text.lower())


def test_names_of_files_are_no_markup(text):
    assert "a &lt;b&gt; &amp; c" in text
    assert "<b> & c" not in text


def test_the_page_is_the_same_bytes_again(shown, text):
    again = played(shown.run, held_out(shown.run.task, 3, None))
    assert page(again) == text


def test_the_page_lies_in_the_run_unless_it_is_told_where(copy):
    assert show(copy, episodes=1) == copy / "council.html"
    with Run(copy, json.loads((copy / "config.json").read_text())):
        pass  # and the run is still one


def test_all_sections_are_there(text):
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles == [
        "Around switches",
        "One episode",
        "Figures",
        "Reliability of the gate",
        "Training",
        "How this was made",
    ]


def test_every_scalar_that_was_logged_has_a_plot():
    rows = [
        {"step": 10 * n, "reflex": 1.0, "council": 2.0, "brand_new": n, "gone": None}
        for n in range(200)
    ]
    text = training(rows)
    titles = re.findall('class="title"[^>]*>(.*?)<', text)
    assert titles == ["loss, nats", "brand new"]
    assert "System 2: 2 at 0, 2 at 1990" in text
    assert "Nothing was logged" in training([{"step": 1}])
    assert "<dt>late</dt><dd>0.5 after 1,990 steps</dd>" in training(
        [*rows, {"step": 1990, "late": 0.5}]
    )


def test_what_is_not_labelled_is_left_out(shown):
    def bare(one):
        return Life(replace(one.episode, labels={}, target_log_prob=None), {})

    lives = [bare(one) for one in shown.own]
    text = page(Shown(shown.run, lives, lives, lives, lives))
    Tags(text)
    assert re.findall("<h2>(.*?)</h2>", text) == [
        "One episode",
        "Figures",
        "Training",
        "How this was made",
    ]
    assert "No regime switched" in text
    assert "reward a step" in text
    assert 'scope="row">accuracy' not in text


def test_a_council_that_learns_from_rewards_is_shown_without_right_answers(tmp_path):
    env_id = "tropism/Sanity-Memory-v0"
    options: dict[str, Any] = {"width": 16, "heads": 2}
    policy = ReinforcedPolicy(Task(env_id), CouncilConfig(**options), Practice())
    told = {"agent": "council", "options": options, "env_id": env_id, "env_options": {}}
    with Run(tmp_path, {**told, "env_steps": 0, "seed": 0}):
        save_policy(policy, tmp_path / "policy")
    text = show(tmp_path, episodes=2).read_text()
    Tags(text)
    assert "reward a step" in text
    assert "Around switches" not in text
    assert "never asked" in text  # nobody calibrated its gate


def test_questions_of_several_depths_get_a_section(shown):
    def deep(one):
        k = 1 + np.arange(len(one)) % 3
        return Life(
            replace(one.episode, labels=one.episode.labels | {"required_compute": k}), one.told
        )

    own, alone, always = ([*map(deep, x)] for x in (shown.own, shown.alone, shown.always))
    text = page(Shown(shown.run, own, alone, always, shown.asked))
    assert "<h2>Depth of thought</h2>" in text
    assert "accuracy by steps of thought" in text


def test_a_gate_without_a_threshold_is_pointed_out(shown):
    assert "never asked" in verdict(shown.own, float("inf"))[0]
    assert "never asked" not in "".join(verdict(shown.own, 0.1))


def test_words_say_only_what_the_numbers_show():
    rng = np.random.default_rng(1)
    switches = range(15, 600, 15)
    since = life(600, switches).since
    spiking = np.where(since == 0, 4.0, 0.2) + rng.random(600) / 10
    awake = life(600, switches, (since >= 1) & (since <= 3), spiking)
    said = "".join(verdict([awake], 0.1))
    assert "The loss spikes at switches: 0.2" in said
    assert "System 2 wakes there: it answers 100% of the steps 1 to 3 after one and 0%" in said
    flat = life(600, switches, rng.random(600) < 0.5, 1 + rng.random(600) / 10)
    said = "".join(verdict([flat], 0.1))
    assert "does not spike" in said
    assert "does not wake" in said
    asleep = life(600, switches, (since > 10), spiking)
    assert "does not wake" in "".join(verdict([asleep], 0.1))


def test_diagnostics_stand_beside_the_step_that_they_tell_of(shown):
    for lives in (shown.own, shown.alone, shown.always):
        for one in lives:
            assert one.told["score"].shape == (len(one),)
            np.testing.assert_array_equal(one.told["mode"] > 0, one.thinks)
    assert not any(one.thinks.any() for one in shown.alone)
    assert all(one.thinks.all() for one in shown.always)
    threshold = float(shown.run.network.gate.threshold)
    for one in shown.own:
        np.testing.assert_array_equal(one.told["score"] > np.float32(threshold), one.thinks)


class Counting(Policy):
    """Tells seed and step of its episode."""

    def __init__(self, max_lanes):
        self.max_lanes = max_lanes

    def reset(self, mask, seeds):
        if not hasattr(self, "step") or len(self.step) != len(mask):
            self.step, self.seed = np.zeros(len(mask), np.int64), np.zeros(len(mask), np.int64)
        self.step[mask], self.seed[mask] = 0, seeds[mask]

    def act(self, observation, info, gate=None):
        told = {
            "step": self.step.copy(),
            "seed": self.seed.copy(),
            "wide": np.ones((len(self.step), 2)),
        }
        self.step += 1
        action = np.zeros(len(self.step), np.int64)
        return Decision(action, np.ones(len(self.step), np.int64), None, told)

    def save(self, directory):
        raise NotImplementedError


@pytest.mark.parametrize("lanes", [None, 1, 2])
def test_diagnostics_are_those_of_the_episode_however_many_lanes_play(lanes):
    lives = play(Counting(lanes), Task(SWITCH, {"max_episode_steps": 7}), range(50, 55))
    assert [one.episode.seed for one in lives] == list(range(50, 55))
    for one in lives:
        assert one.told["step"].tolist() == list(range(7))
        assert set(one.told["seed"].tolist()) == {one.episode.seed}
        assert "wide" not in one.told


def test_curves_are_aligned_at_switches_and_end_where_another_regime_begins():
    one = life(40, (8, 11), loss=np.arange(40.0))
    rows = around_switches([one], lambda x: x.loss)
    first = [np.nan if not 0 <= 8 + o < 11 else 8.0 + o for o in OFFSETS]
    second = [np.nan if not 8 <= 11 + o < 40 else 11.0 + o for o in OFFSETS]
    np.testing.assert_array_equal(rows, [first, second])
    found = band(rows)
    assert found.mean[OFFSETS == 0] == (8 + 11) / 2
    assert found.mean[OFFSETS == 5] == 16
    assert found.low[OFFSETS == 0] == 8
    assert found.high[OFFSETS == 0] == 11


def test_the_band_is_that_of_the_mean():
    rows = np.random.default_rng(0).normal(3, 2, (400, 2))
    found = band(rows, (0, 1))
    error = rows.std(0) / 20
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 * error, rtol=0.2)
    np.testing.assert_allclose(found.mean, rows.mean(0))


def test_alignment_is_the_chance_that_compute_tells_steps_apart():
    rng = np.random.default_rng(2)
    one = life(300, range(20, 300, 11), rng.random(300) < 0.4)
    units = one.episode.compute[one.since >= 0]
    wanted = ((one.since >= 1) & (one.since <= 3))[one.since >= 0]
    pairs = units[wanted][:, None] - units[~wanted][None, :]
    assert alignment([one]) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert np.isnan(alignment([life(10)]))


def test_shares_are_those_of_their_steps():
    one = life(50, (10, 30), np.isin(np.arange(50), [11, 12, 13, 24, 31]))
    values = {name: statistic([one]) for name, statistic in TABLE.items()}
    assert values["System 2 on steps 1 to 3 after a switch"] == pytest.approx(4 / 6)
    stable = [name for name in values if "stable" in name]
    assert values[stable[0]] == pytest.approx(1 / 18)  # 21 to 29 and 41 to 49
    assert values["System 2 on all steps"] == pytest.approx(0.1)
    assert values["accuracy"] == 1
    assert np.isnan(values["loss, nats"])


def test_an_interval_of_figures_is_one_over_episodes():
    lives = [life(10, loss=np.full(10, v)) for v in (1.0, 2.0, 3.0, 4.0)]
    found = figure(lives, mean_of(lambda x: x.loss))
    assert found.value == 2.5
    assert 1 <= found.low < 2.5 < found.high <= 4


def test_gains_are_those_of_both_systems_at_the_same_step(shown):
    for one, first, second in zip(shown.asked, shown.alone, shown.always, strict=True):
        gain = np.exp(-second.loss) - np.exp(-first.loss)
        np.testing.assert_array_equal(one.told["gain"], gain)
        np.testing.assert_array_equal(one.thinks, one.told["mode"] > 0)
    found = reliability(shown.asked)
    assert found is not None
    assert found.paired
    assert found.name == "expected_gain"


def section_of_the_gate(text):
    return text.split("<h2>Reliability of the gate</h2>")[1].split("</section>")[0]


def test_gains_are_told_in_probability(shown, text):
    said = section_of_the_gate(text)
    assert "realised gain, probability of the right answer<" in said
    assert "expected gain, probability of the right answer<" in said
    assert "How much likelier System 2 found the right answer" in said
    assert "nats" not in said


@pytest.mark.parametrize(
    ("threshold", "told"), [(0.1, "threshold broken"), (np.inf, "no threshold")]
)
def test_the_score_of_a_step_is_told_in_probability(shown, threshold, told):
    said = strip(shown.own[0], threshold)
    assert re.search(f"gate&#x27;s score</b><span>[^<]+ to [^<]+ probability, {told}</span>", said)
    assert re.search(r"<b>loss</b><span>0 to [\d.]+ nats</span>", said)


def test_the_score_is_compared_only_where_no_gain_is_expected(shown):
    def without(one):
        told = {name: value for name, value in one.told.items() if name != "expected_gain"}
        return replace(one, told=told)

    said = section_of_the_gate(page(replace(shown, asked=[*map(without, shown.asked)])))
    assert "score, probability of the right answer" in said
    assert "The score adds to the expected gain" in said
    assert "nats" not in said


def test_gains_are_not_told_where_different_things_were_shown():
    own, other = life(9, loss=np.ones(9)), life(9, loss=np.ones(9) + 0.1)
    (found,) = with_gains([own], [own], [other]) or [own]
    assert found.told["gain"] == pytest.approx(np.exp(-1.1) - np.exp(-1))
    assert with_gains([own], [other], [own]) is None
    assert with_gains([own], [own], [life(8, loss=np.ones(8))]) is None
    assert with_gains([own], [own], [life(9)]) is None


def test_chance_decides_who_answers_where_gains_are_not_known(run, monkeypatch):
    monkeypatch.setattr("tropism_council.show.with_gains", lambda *_: None)
    trained = read_run(run)
    found = played(trained, held_out(trained.task, 3, None))
    assert 0.35 < np.concatenate([one.thinks for one in found.asked]).mean() < 0.65
    said = section_of_the_gate(page(found))
    assert "Chance decided who answered" in said
    assert "System 2's mean less System 1's" in said
    assert "expected gain, probability of the right answer<" in said


@pytest.mark.parametrize("name", ["expected_gain", "score"])
@pytest.mark.parametrize("paired", [True, False])
def test_reliability_finds_the_gain_that_is_there(paired, name):
    rng = np.random.default_rng(3)
    expected = rng.uniform(0, 1, 20_000)
    thinks = rng.random(20_000) < 0.5
    gain = 0.6 * expected - 0.2 + rng.uniform(-0.05, 0.05, 20_000)
    chance = rng.uniform(0.26, 0.46, 20_000) + gain * thinks
    told = {"score": rng.random(20_000), name: expected} | ({"gain": gain} if paired else {})
    found = reliability([life(20_000, thinks=thinks, loss=-np.log(chance), told=told)])
    assert found is not None
    assert found.paired is paired
    assert found.name == name
    assert found.counts.sum() == 20_000
    assert len(found.counts) == 8
    truth = 0.6 * found.gain.x - 0.2
    assert ((found.gain.low <= truth) & (truth <= found.gain.high)).sum() >= 6
    assert abs(found.gain.mean - truth).max() < (0.003 if paired else 0.01)
    assert (found.gain.high - found.gain.low).max() < (0.004 if paired else 0.02)


def test_without_a_score_nothing_is_said_of_it():
    assert reliability([life(10, loss=np.ones(10))]) is None
    assert reliability([life(10, told={"score": np.ones(10)})]) is None


def test_depth_is_told_where_questions_differ_in_it():
    k = np.arange(60) % 4
    found = by_depth([life(60, required_compute=k)], lambda _: np.float64(3) * k)
    assert found is not None
    np.testing.assert_array_equal(found.x, [0, 1, 2, 3])
    np.testing.assert_array_equal(found.mean, [0, 3, 6, 9])
    assert by_depth([life(60, required_compute=np.ones(60))], lambda x: x.right) is None
    assert by_depth([life(60)], lambda x: x.right) is None


def test_threads_are_as_they_were_after_playing():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with contextlib.suppress(ValueError), one_thread():
            assert torch.get_num_threads() == 1
            raise ValueError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_interrupt_leaves_the_page_as_it_was(copy, monkeypatch):
    path = copy / "council.html"
    path.write_text("the old one")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tropism_council.show.play", stop)
    with pytest.raises(KeyboardInterrupt):
        show(copy, episodes=1)
    assert path.read_text() == "the old one"
    assert not list(copy.glob(".tmp-*"))


def forget(name):
    return lambda path: (path / name).unlink()


def rewrite(**changes):
    def change(path):
        text = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(text | changes))

    return change


def cut(name):
    def change(path):
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[: len(data) // 2])

    return change


@pytest.mark.parametrize(
    ("damage", "error", "hint"),
    [
        (shutil.rmtree, ArtifactError, "no run directory"),
        (forget("config.json"), ArtifactError, "config.json is missing"),
        (cut("config.json"), ArtifactError, "config.json is damaged"),
        (rewrite(agent="ppo"), ArtifactError, "a run of 'ppo', not of 'council'"),
        (
            lambda path: (path / "config.json").write_text("{}"),
            ArtifactError,
            "has no agent, env_id",
        ),
        (rewrite(env_id="tropism/PatternWorld-Swich-v0"), UnknownNameError, "Did you mean"),
        (rewrite(env_options={"hazrd": 1}), ArtifactError, "does not take"),
        (rewrite(env_options={"history": 8}), ArtifactError, "observation_space"),
        (lambda path: shutil.rmtree(path / "policy"), ArtifactError, "did not finish"),
        (forget("policy/council.safetensors"), ArtifactError, "'council.safetensors' is missing"),
        (cut("policy/council.safetensors"), ArtifactError, "edited or truncated"),
        (cut("metrics.jsonl"), ArtifactError, "metrics.jsonl: line .* is damaged"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(copy, damage, error, hint):
    damage(copy)
    with pytest.raises(error, match=hint) as caught:
        call("show", copy)
    assert "\n" not in str(caught.value)
    assert not (copy / "council.html").exists()


def test_an_unfinished_run_is_told_how_to_finish_it(copy):
    shutil.rmtree(copy / "policy")
    with pytest.raises(ArtifactError) as caught:
        show(copy)
    command = str(caught.value).split("`")[1]
    assert command.startswith(f"tropism train council {SWITCH} --steps 6000 --seed 3 --out ")
    assert "--set width=16" in command
    assert "--env hazard=0.1" in command


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--episodes", 0], r"episodes must be in \[1, 1000\], got 0"),
        (["--seed", 3], r"seed must be in \[10000, 19992\]"),
        (["--seed", 19993], "8 episodes are held out"),
        (["--output", "nowhere/page.html"], "no directory nowhere"),
        (["--output", "."], "is a directory"),
    ],
)
def test_options_out_of_range_are_refused(run, options, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=hint):
        call("show", run, *options)


def test_the_plugin_brings_the_command_along_and_suggests_names():
    group = click.Group()
    PluginHost(
        [EntryPoint("council", "tropism_council.plugin", "tropism")], environ={}
    ).add_commands(group)
    assert "council" in group.commands
    with pytest.raises(UnknownNameError, match="Did you mean 'show'"):
        call("shwo")


def test_help_loads_nothing_heavy():
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import tropism_council.plugin\n"
        "from tropism_council.commands import council\n"
        "council.main(['show', '--help'], standalone_mode=False)\n"
        "print([m for m in ('torch', 'numpy', 'gymnasium', 'scipy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--episodes" in done.stdout


def test_ticks_are_round_and_labels_do_not_cover_each_other():
    assert ticks(0, 1, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-5, 12, 6) == [-5, 0, 5, 10]
    placed = spread([10.0, 11.0, 12.0, 100.0], 12, 0, 200)
    assert min(np.diff(placed)) >= 12
    assert placed[-1] == 100


def test_the_command_opens_a_browser_only_when_asked(tmp_path, monkeypatch):
    opened, path = [], tmp_path / "council.html"
    monkeypatch.setattr("tropism_council.show.show", lambda *_, **__: path)
    monkeypatch.setattr("click.launch", opened.append)
    call("show", tmp_path)
    assert opened == []
    call("show", tmp_path, "--open")
    assert opened == [str(path)]
