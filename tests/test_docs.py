"""The documentation tells the truth: its code runs, its commands exist, its data sheets are complete."""

import inspect
import re
import sys
import textwrap
from itertools import takewhile
from pathlib import Path

import click
import pytest

import tropism.envs
from tropism.agents import hookspecs
from tropism.benchmarks.cli import cli as command
from tropism.envs.registration import environment_ids

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
IDS = sorted(environment_ids())
SECTIONS = (
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Reset Options",
    "Version History",
)

sys.path.insert(0, str(ROOT / "docs"))
import generate  # noqa: E402  lives beside the pages


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of ``language``, those inside lists too."""
    fenced = rf"^( *)```{language}\n(.*?)^\1```"
    found = re.findall(fenced, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_python_on_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "page"}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), namespace)


def named_commands(page: Path) -> set[tuple[str, ...]]:
    lines = re.findall(r"^tropism ([^#\n]*)", "\n".join(blocks(page, "bash")), re.MULTILINE)
    return {tuple(line.split()) for line in lines}


def resolve(words: tuple[str, ...]) -> click.Command:
    """The command that ``words`` call; options after it must exist."""
    found: click.Command = command
    context = click.Context(found)
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        child = found.get_command(context, words[0])
        assert child is not None, f"tropism has no command {words[0]!r}"
        found, words = child, words[1:]
    known = {name for parameter in found.get_params(context) for name in parameter.opts}
    own = takewhile(lambda word: word != "--", words)  # what follows belongs to another command
    assert {word.split("=")[0] for word in own if word.startswith("-")} <= known
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if named_commands(page)], ids=lambda page: page.name
)
def test_commands_on_a_page_exist(page):
    for words in named_commands(page):
        resolve(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_links_to_exist(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("generated/")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("env_id", IDS)
def test_every_environment_has_a_complete_data_sheet(env_id):
    page = generate.environment_page(env_id)
    assert [section for section in SECTIONS if f"\n## {section}\n" not in page] == []


@pytest.mark.parametrize("env_id", generate.parallel_ids())
def test_every_environment_for_several_agents_has_one_too(env_id):
    page = generate.parallel_page(env_id)
    wanted = {*SECTIONS, "Agents", "State"}
    assert {section for section in wanted if f"\n## {section}\n" not in page} == set()


def test_every_command_has_a_help_text():
    for path, text in generate.commands(command, "tropism"):
        assert len(text.splitlines()) > 3, f"{path} explains nothing"


def test_documentation_names_the_version_it_is_about():
    assert re.search(
        rf"^version: {re.escape(tropism.envs.__version__)}$",
        (ROOT / "CITATION.cff").read_text(),
        re.MULTILINE,
    )


def test_every_hook_is_documented_with_its_arguments():
    page = (ROOT / "docs/agents.md").read_text(encoding="utf-8")
    hooks = [thing for name, thing in vars(hookspecs).items() if name.startswith("tropism_")]
    assert len(hooks) == 4
    for hook in hooks:
        arguments = ", ".join(inspect.signature(hook).parameters)
        assert f"`{hook.__name__}({arguments})`" in page
