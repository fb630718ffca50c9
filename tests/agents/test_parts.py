from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tropism.agents.hygiene import pickles_in
from tropism.agents.parts import Parts
from tropism.errors import ArtifactError

ARRAYS = {
    "a.b": np.arange(6.0).reshape(2, 3).T,
    "n": np.array(7),
    "inf": np.array(np.inf, np.float32),
}
FACTS = {"steps": 5, "names": ["x"]}


@pytest.fixture(params=["numpy", "torch"])
def parts(request):
    pytest.importorskip(request.param)
    return Parts("tropism-mine", 1, request.param)


@pytest.fixture
def arrays(parts):
    if parts.library == "numpy":
        return ARRAYS
    import torch

    tensors = {name: torch.from_numpy(np.array(value)) for name, value in ARRAYS.items()}
    return {**tensors, "a.b": tensors["a.b"].T.contiguous().T.requires_grad_()}


@pytest.fixture
def written(parts, arrays, tmp_path):
    parts.write(tmp_path, "part", arrays, FACTS)
    return tmp_path


def test_what_is_written_is_read_again_to_the_bit(parts, arrays, written):
    read, facts = parts.read(written, "part")
    assert read.keys() == arrays.keys()
    for key, value in arrays.items():
        assert type(read[key]) is type(value)
        assert read[key].dtype == value.dtype
        assert (read[key] == value).all()
    assert facts.items() >= FACTS.items()


def test_nothing_is_pickled_and_no_part_is_in_the_others_way(parts, written):
    parts.write(written, "another", {}, {})
    assert sorted(path.name for path in written.iterdir()) == [
        "another.json", "another.safetensors", "part.json", "part.safetensors"
    ]  # fmt: skip
    assert not pickles_in(written)
    assert parts.read(written, "part")[1]["steps"] == 5


def test_numpy_reads_what_torch_wrote(tmp_path):
    torch = pytest.importorskip("torch")
    Parts("tropism-mine", 1, "torch").write(tmp_path, "part", {"x": torch.arange(3)}, {})
    read, _ = Parts("tropism-mine", 1, "numpy").read(tmp_path, "part")
    np.testing.assert_array_equal(read["x"], [0, 1, 2])


def test_arrays_of_numpy_need_no_torch(tmp_path):
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "import numpy\n"
        "from tropism.agents.parts import Parts\n"
        f"parts, place = Parts('tropism-mine', 1, 'numpy'), Path({str(tmp_path)!r})\n"
        "parts.write(place, 'part', {'x': numpy.zeros(3)}, {})\n"
        "parts.read(place, 'part')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_write_that_fails_leaves_no_facts_beside_other_arrays(parts, arrays, tmp_path):
    with pytest.raises(TypeError):
        parts.write(tmp_path, "part", arrays, {"not JSON": object()})
    assert not list(tmp_path.iterdir())


def spoil_bytes(directory):
    path = directory / "part.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def cut(directory):
    path = directory / "part.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def other_format(directory):
    path = directory / "part.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (spoil_bytes, "part.safetensors is truncated or edited; restore it"),
        (cut, "part.safetensors is truncated or edited; restore it"),
        (other_format, "format 99, this version reads 1; install the version of tropism-mine"),
        (lambda d: (d / "part.safetensors").unlink(), "part.safetensors is missing"),
        (lambda d: (d / "part.json").unlink(), "part.json"),
        (lambda d: (d / "part.json").write_text("{"), "part.json"),
    ],
)
def test_what_is_damaged_is_refused_with_what_is_wrong(parts, written, damage, message):
    damage(written)
    with pytest.raises(ArtifactError, match=message):
        parts.read(written, "part")
