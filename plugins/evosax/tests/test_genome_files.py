from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from tropism.agents.arrays import save_arrays
from tropism.errors import ArtifactError
from tropism_evosax.genomes.contract import sample
from tropism_evosax.genomes.files import read_genome, write_genome
from tropism_evosax.genomes.registry import encoding_from_spec, make_encoding
from tropism_evosax.networks.registry import make_controller

ENCODING = make_encoding("direct", make_controller("gru", 4, 5, hidden=3))
SPEC = ENCODING.spec()
GENOME = np.asarray(sample(ENCODING, jax.random.key(0), 1)[0])


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "genome.npz"
    write_genome(path, GENOME, SPEC)
    return path


def text(spec):
    return np.frombuffer(spec, np.uint8)


def test_what_is_written_comes_back(written):
    genome, spec = read_genome(written, SPEC)
    np.testing.assert_array_equal(genome, GENOME)
    assert genome.dtype == np.float32
    assert encoding_from_spec(spec) == ENCODING
    assert [path.name for path in written.parent.iterdir()] == ["genome.npz"]


def test_a_genome_of_jax_is_written_too(tmp_path):
    write_genome(tmp_path / "g.npz", jax.numpy.asarray(GENOME), SPEC)
    np.testing.assert_array_equal(read_genome(tmp_path / "g.npz")[0], GENOME)


def test_a_truncated_file_is_refused_at_every_length(written):
    whole = written.read_bytes()
    for length in range(0, len(whole), 61):
        written.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="cannot be read"):
            read_genome(written)


def test_a_flipped_byte_is_refused(written):
    whole = bytearray(written.read_bytes())
    whole[120] ^= 1  # in the compressed genes
    written.write_bytes(bytes(whole))
    with pytest.raises(ArtifactError):
        read_genome(written)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_genome(tmp_path / "none.npz")


def test_a_genome_of_another_network_is_refused(written):
    other = make_encoding("direct", make_controller("gru", 4, 5, hidden=4)).spec()
    with pytest.raises(ArtifactError, match=r"another network: controller is .*num_params is"):
        read_genome(written, other)


@pytest.mark.parametrize(
    ("genome", "spec", "message"),
    [
        (GENOME[:-1], SPEC, r"genome must be float32\[\d+\], it is float32"),
        (GENOME[None], SPEC, "genome must be float32"),
        (GENOME, {**SPEC, "version": 2}, "version of the genome is 2, this version reads 1"),
        (np.where(np.arange(len(GENOME)) == 7, np.nan, GENOME), SPEC, "gene 7 is nan"),
        (np.where(np.arange(len(GENOME)) == 7, np.inf, GENOME), SPEC, "gene 7 is inf"),
    ],
)
def test_what_does_not_fit_is_neither_written_nor_read(tmp_path, genome, spec, message):
    path = tmp_path / "genome.npz"
    with pytest.raises(ArtifactError, match=message):
        write_genome(path, genome, spec)
    assert not path.exists()
    save_arrays(
        path, {"genome": np.asarray(genome, np.float32), "spec": text(json.dumps(spec).encode())}
    )
    with pytest.raises(ArtifactError, match=message):
        read_genome(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"genome": GENOME}, "must hold 'genome' and 'spec'"),
        ({"genome": GENOME, "spec": text(b"{")}, "spec is no JSON"),
        ({"genome": GENOME, "spec": text(b"\xff")}, "spec is no JSON"),
        ({"genome": GENOME, "spec": text(b"[1]")}, "spec must be an object"),
        ({"genome": GENOME, "spec": text(b"{}")}, "version of the genome is None"),
    ],
)
def test_foreign_files_are_refused(tmp_path, arrays, message):
    save_arrays(tmp_path / "genome.npz", arrays)
    with pytest.raises(ArtifactError, match=message):
        read_genome(tmp_path / "genome.npz")
