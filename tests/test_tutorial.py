"""The tutorial notebook runs from top to bottom, in the interpreter that runs the tests."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parents[1] / "examples/tutorial.ipynb"


@pytest.fixture
def executed(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("TROPISM_PLUGINS", "")
    notebook = nbformat.read(PATH, as_version=4)
    return NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))


def test_tutorial_is_committed_without_outputs():
    cells = nbformat.read(PATH, as_version=4).cells
    assert all(
        not cell.outputs and cell.execution_count is None
        for cell in cells
        if cell.cell_type == "code"
    )


def test_tutorial_runs_and_shows_what_it_says(executed):
    outputs = [
        output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    assert not [output for output in outputs if output.output_type == "error"]
    text = "".join(
        output.text
        for output in outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    lines = (line.split() for line in text.splitlines() if line.endswith(" of 1000"))
    scores = {name: float(score) for name, score, *_ in lines}
    assert scores["random"] < scores["table"] < scores["two-mode"] <= scores["ideal"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
