from __future__ import annotations

import json

import numpy as np
import pytest

from tropism.agents.runs import Run
from tropism.errors import ArtifactError
from tropism_evosax.evolve import evolve
from tropism_evosax.filters import Rung, Viability
from tropism_evosax.genomes.files import read_genome
from tropism_evosax.reproduce import reproduce
from tropism_evosax.store import BEST, GENERATIONS, MEAN, PRUNED, RESULT, read_config, read_rows

pytestmark = pytest.mark.usefixtures("quick_evolutions")


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory, quick_evolutions):
    directory = tmp_path_factory.mktemp("runs") / "run"
    return directory, evolve(tiny(), [3], [directory])[0]


def stop_at(generation):
    return lambda _, rows: rows[-1]["generation"] + 1 >= generation


def test_a_run_leaves_all_it_is_asked_for(finished, tiny):
    directory, found = finished
    assert read_config(directory) == tiny(seed=3)
    assert len(read_rows(directory)) == 7
    assert sorted(p.name for p in (directory / "checkpoints").iterdir()) == [
        f"{n:012d}" for n in (3, 6, 7)
    ]
    genome, spec = read_genome(directory / BEST)
    np.testing.assert_array_equal(genome, found.best)
    np.testing.assert_array_equal(read_genome(directory / MEAN)[0], found.mean)
    assert spec["controller"]["name"] == "mlp"
    result = json.loads((directory / RESULT).read_text())
    assert result["best_score"] == found.best_score
    assert result["env_steps"] == found.env_steps
    assert json.loads((directory / "manifest.json").read_text())["starts"][0]["seed"] == 3
    assert not (directory / PRUNED).exists()


def test_a_stopped_run_goes_on_to_the_same_end(finished, tiny, tmp_path, same):
    _, whole = finished
    [part] = evolve(tiny(), [3], [tmp_path / "run"], progress=stop_at(3))
    assert part.generations == 3
    assert not (tmp_path / "run" / BEST).exists()
    [resumed] = evolve(tiny(), [3], [tmp_path / "run"])
    same(whole, resumed)
    assert [row["generation"] for row in resumed.rows] == list(range(7))


def test_rows_after_the_last_checkpoint_are_forgotten(finished, tiny, tmp_path, same):
    _, whole = finished
    place = tmp_path / "run"
    evolve(tiny(), [3], [place], progress=stop_at(3))
    with (place / GENERATIONS).open("a") as file:  # killed after the rows, before the checkpoint
        file.write('{"generation": 3, "lived": 1}\n{"generation": 4, "li')
    same(whole, evolve(tiny(), [3], [place])[0])
    assert len(read_rows(place)) == 7


def test_a_finished_run_comes_back_at_once(finished, tiny, same):
    directory, whole = finished
    same(whole, evolve(tiny(), [3], [directory], progress=lambda *_: pytest.fail("ran"))[0])


def test_an_open_run_of_somebody_else_will_do(finished, tiny, tmp_path, same):
    with Run(tmp_path / "mine", {"agent": "evosax"}) as run:
        same(finished[1], evolve(tiny(), [3], [run])[0])
    assert (tmp_path / "mine" / BEST).exists()


def test_running_a_manifest_again_gives_the_same_bits(finished, same):
    directory, whole = finished
    again = reproduce(directory)
    assert again.best
    assert again.mean
    same(whole, again.evolved)


def test_pruned_genomes_are_logged_one_by_one(tiny, tmp_path):
    look, rung = Viability(4, 16, 8, 0.01), Rung(8, 1, 0.25)
    config = tiny(sigma=1.0, init_sigma=1.0, viability=look, rungs=(rung,))
    [found] = evolve(config, [0], [tmp_path / "run"])
    lines = [json.loads(x) for x in (tmp_path / "run" / PRUNED).read_text().splitlines()]
    assert [line["generation"] for line in lines] == list(range(7))
    for line, row in zip(lines, found.rows, strict=True):
        assert len(line.get("viability", [])) == 8 - row["viable"]
        assert len(line.get("rung 1", [])) == row["viable"] - row["full"]
    for stage in ("viability", "rung 1"):
        assert sum(len(line.get(stage, [])) for line in lines) > 0


@pytest.mark.parametrize("name", ["manifest.json", "config.json", BEST])
def test_without_its_papers_a_run_cannot_be_reproduced(finished, tmp_path, name):
    import shutil

    place = shutil.copytree(finished[0], tmp_path / "copy")
    (place / name).unlink()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        reproduce(place)


def test_another_config_is_refused(finished, tiny):
    with pytest.raises(ArtifactError, match="sigma"):
        evolve(tiny(sigma=0.2), [3], [finished[0]])


def test_damage_is_told(finished, tiny, tmp_path):
    import shutil

    place = shutil.copytree(finished[0], tmp_path / "copy")
    (place / "checkpoints" / f"{7:012d}" / "state.npz").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"state\.npz"):
        evolve(tiny(), [3], [place])
    shutil.rmtree(place / "checkpoints" / f"{7:012d}")
    (place / GENERATIONS).write_text("{}\n{\n{}\n{}\n{}\n{}\n")
    with pytest.raises(ArtifactError, match="line 2"):
        evolve(tiny(), [3], [place])
