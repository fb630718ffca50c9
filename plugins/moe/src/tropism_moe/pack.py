"""A trained model as files: shared weights packed into one part, experts into a store; never pickle.

::

    model.json            shapes, SHA3-256 of the shared weights
    model.safetensors     shared weights in 2 bits, norms, biases, routers, table of inputs and heads
    experts.store         ternary experts in base 3, see :mod:`tropism_moe.store_format`
    moe.json              (of a policy) settings of the agent and spaces of its task
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tropism.agents.artifacts import read_json
from tropism.agents.parts import Parts
from tropism.errors import ArtifactError
from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.lattice import Lattice
from tropism_moe.model import Model, RecurrentLayer
from tropism_moe.packed import Arrays, Packed, slab, slab_facts, ternarise
from tropism_moe.packing import pack_base3
from tropism_moe.routing import Routers
from tropism_moe.store_writer import StoreWriter
from tropism_moe.ternary import TernaryLinear

PARTS = Parts("tropism-moe", 1, "numpy")
PART, STORE, SETTINGS = "model", "experts.store", "moe.json"
Progress = Callable[[int], None]
NamedSlab = tuple[int, int, bytes, dict[str, Any]]
"""Layer, expert, weights in base 3, and what is to be known of them."""


def pack(model: Model, directory: Path, progress: Progress = lambda _: None) -> None:
    """Write a ternary model (:func:`tropism_moe.packed.ternarise`).

    Args:
        model: whose maps are all ternary.
        directory: where to; an older model there is replaced part by part, each whole.
        progress: told the number of experts that are written.

    Raises:
        StoreWriteError: the disk is full, say; the store that was there is as it was.
    """
    slabs = ((layer, expert, *slab(network)) for layer, expert, network in _experts(model))
    _write(Path(directory), model.config, shared_arrays(model), slabs, progress)


def pack_random(
    config: ModelConfig, directory: Path, seed: int, progress: Progress = lambda _: None
) -> None:
    """Write a model of random weights slab by slab, to be measured: it may be larger than the memory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        arrays = _random_shared(config)
    keys = ((layer, e) for layer in config.expert_layers for e in range(config.experts))
    slabs = ((*key, *_random_slab(config, np.random.default_rng([seed, *key]))) for key in keys)
    _write(Path(directory), config, arrays, slabs, progress)


def shared_arrays(model: Model) -> Arrays:
    """All but the experts, by name: ternary maps packed, routers as tables, everything else as it is."""
    found: Arrays = {}
    for name, module in model.named_modules():
        if ".experts." in name:
            continue
        if isinstance(module, TernaryLinear):
            found |= Packed.of(module.weight).arrays(name)
        elif isinstance(module, Routers):
            found |= {f"{name}.{k}": v for k, v in module.tables()._asdict().items()}
        elif isinstance(module, nn.Linear | nn.RMSNorm) and module.weight is not None:
            found[f"{name}.weight"] = module.weight.detach().numpy().copy()
        elif hasattr(module, "decay_bias"):
            found[f"{name}.decay_bias"] = module.decay_bias.detach().numpy().copy()  # pyright: ignore[reportCallIssue,reportAttributeAccessIssue]
    return {**found, "inputs": model.inputs.detach().numpy().copy()}


def _write(
    directory: Path, config: ModelConfig, arrays: Arrays, slabs: Iterable[NamedSlab], progress: Progress
) -> None:  # fmt: skip
    """Write the experts, then the shared weights, by whose checksum the store says what it belongs to."""
    directory.mkdir(parents=True, exist_ok=True)
    facts = {"config": config.to_json()}
    belongs = {**facts, "belongs": PARTS.checksum(arrays)}
    with StoreWriter(directory / STORE, belongs) as writer:
        for done, (layer, expert, weights, meta) in enumerate(slabs, 1):
            writer.add(layer, expert, weights, meta)
            progress(done)
    PARTS.write(directory, PART, arrays, facts)


def read_shared(directory: Path) -> tuple[ModelConfig, Arrays]:
    """Read what :func:`write_shared` wrote.

    Raises:
        ArtifactError: a file is missing, damaged, or of another version.
    """
    arrays, facts = PARTS.read(Path(directory), PART)
    return ModelConfig(**facts["config"]), arrays


def check_same_pack(directory: Path, store: Mapping[str, Any]) -> None:
    """Refuse experts and shared weights of different models, as a packing that was killed half way over an older model leaves.

    Args:
        directory: of the model.
        store: facts of its store.

    Raises:
        ArtifactError: they are.
    """
    shared = read_json(directory / f"{PART}.json").get("sha3_256")
    if store.get("belongs", shared) != shared:
        raise ArtifactError(
            f"{directory}: {STORE} and {PART}.safetensors are of different models, as if a packing had been killed between "
            "them; pack the model again"
        )


def _experts(model: Model) -> Iterator[tuple[int, int, Any]]:
    """Layer, number and network of every expert."""
    recurrent = [m for m in model.modules() if isinstance(m, RecurrentLayer)]
    for layer, module in zip(model.config.expert_layers, recurrent, strict=True):
        for expert, network in enumerate(module.experts.each):
            yield layer, expert, network


def _random_shared(config: ModelConfig) -> Arrays:
    """All but the experts, of which a model with one a layer is made in their place."""
    single = Model(ModelConfig(**{**config.to_json(), "lattice": [1, 1, 1]}))
    arrays, lattice = shared_arrays(ternarise(single)), Lattice(config.lattice)
    for n in range(config.layers // BLOCK):
        tables = Routers(config.width, lattice, BLOCK - 1).tables()
        arrays |= {f"blocks.{n}.routers.{k}": v for k, v in tables._asdict().items()}
    return arrays


def _random_slab(config: ModelConfig, rng: np.random.Generator) -> tuple[bytes, dict[str, Any]]:
    d, f = config.width, config.hidden
    codes = [rng.integers(-1, 2, shape, np.int8) for shape in ((f, d), (f, d), (d, f))]
    scales = [
        (1.5 / n) ** 0.5 for n in (d, d, f)
    ]  # two of three weights are not 0: outputs have variance 1
    return b"".join(pack_base3(c).tobytes() for c in codes), slab_facts(d, f, scales)
