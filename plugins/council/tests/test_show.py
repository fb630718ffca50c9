from __future__ import annotations

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
from click.testing import CliRunner

from tropism.agents.contract import Budget, Task
from tropism.agents.plugins import PluginHost
from tropism.agents.runs import Run, save_policy
from tropism.errors import ArtifactError, OptionError, UnknownNameError
from tropism_council.agent import CouncilAgent
from tropism_council.commands import council
from tropism_council.config import CouncilConfig
from tropism_council.reinforced_policy import ReinforcedPolicy
from tropism_council.reinforcement import Practice
from tropism_council.show import Shown, held_out, played, show
from tropism_council.show_figures import (
    reliability,
)
from tropism_council.show_page import page
from tropism_council.show_play import Life
from tropism_council.show_run import read_run
from tropism_council.show_strip import strip
from tropism_council.show_training import training
from tropism_council.show_words import verdict

SWITCH = "tropism/PatternWorld-Switch-v0"
ENV = {"max_episode_steps": 60, "hazard": 0.1}
OPTIONS = {"width": 16, "heads": 2, "lanes": 32, "stretch": 16, "threads": 1}
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


def test_chance_decides_who_answers_where_gains_are_not_known(run, monkeypatch):
    monkeypatch.setattr("tropism_council.show.with_gains", lambda *_: None)
    trained = read_run(run)
    found = played(trained, held_out(trained.task, 3, None))
    assert 0.35 < np.concatenate([one.thinks for one in found.asked]).mean() < 0.65
    said = section_of_the_gate(page(found))
    assert "Chance decided who answered" in said
    assert "System 2's mean less System 1's" in said
    assert "expected gain, probability of the right answer<" in said


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


def test_the_command_opens_a_browser_only_when_asked(tmp_path, monkeypatch):
    opened, path = [], tmp_path / "council.html"
    monkeypatch.setattr("tropism_council.show.show", lambda *_, **__: path)
    monkeypatch.setattr("click.launch", opened.append)
    call("show", tmp_path)
    assert opened == []
    call("show", tmp_path, "--open")
    assert opened == [str(path)]
