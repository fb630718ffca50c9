from __future__ import annotations

import json

import pytest
import torch

from tropism.agents.hygiene import pickles_in
from tropism.errors import ArtifactError
from tropism_council.store import read_part, write_part

TENSORS = {
    "a.b": torch.arange(6.0).view(2, 3).T,
    "n": torch.tensor(7),
    "inf": torch.tensor(torch.inf),
}


@pytest.fixture
def written(tmp_path):
    write_part(tmp_path, "part", TENSORS, {"steps": 5, "names": ["x"]})
    return tmp_path


def test_what_is_written_is_read_again_to_the_bit(written):
    tensors, facts = read_part(written, "part")
    assert tensors.keys() == TENSORS.keys()
    for key, value in TENSORS.items():
        assert torch.equal(tensors[key], value)
        assert tensors[key].dtype == value.dtype
    assert facts["steps"] == 5
    assert facts["names"] == ["x"]


def test_nothing_is_pickled(written):
    assert {path.suffix for path in written.iterdir()} == {".json", ".safetensors"}
    assert not pickles_in(written)


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
        (other_format, "format 99, this version reads 1; install the version"),
        (lambda d: (d / "part.safetensors").unlink(), "part.safetensors is missing"),
        (lambda d: (d / "part.json").unlink(), "part.json"),
        (lambda d: (d / "part.json").write_text("{"), "part.json"),
    ],
)
def test_what_is_damaged_is_refused_with_what_is_wrong(written, damage, message):
    damage(written)
    with pytest.raises(ArtifactError, match=message):
        read_part(written, "part")
