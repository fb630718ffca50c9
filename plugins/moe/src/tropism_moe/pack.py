"""A trained model as files: shared weights packed into one part, experts into a store; never pickle.

::

    model.json            shapes, SHA3-256 of the shared weights
    model.safetensors     shared weights in base 3, table of inputs and heads in half precision, norms, biases, routers
    experts.store         ternary experts in base 3 or in 2 bits, see :mod:`tropism_moe.store_format`
    moe.json              (of a policy) settings of the agent and spaces of its task
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tropism.agents.artifacts import read_json
from tropism.agents.parts import Parts
from tropism.errors import ArtifactError
from tropism_moe.config import BLOCK, ModelConfig
from tropism_moe.expert_store import ExpertStore
from tropism_moe.lattice import Lattice
from tropism_moe.model import Model, RecurrentLayer
from tropism_moe.packed import BASE3, RECODE, Arrays, form_of, on_disk, slab, slab_of, ternarise
from tropism_moe.routing import Routers
from tropism_moe.store_plan import Mode
from tropism_moe.store_writer import StoreWriter
from tropism_moe.ternary import TernaryLinear

PARTS = Parts("tropism-moe", 4, "numpy")
"""1 held shared weights as they lie in memory, which takes six times the bytes where rows are short, and tables in float32; in 2 a byte
of base 3 held neighbours, in 3 weights of each fifth of a row."""
PART, STORE, SETTINGS = "model", "experts.store", "moe.json"
Progress = Callable[[int], None]
NamedSlab = tuple[int, int, bytes, dict[str, Any]]
"""Layer, expert, weights, and what is to be known of them."""


def pack(
    model: Model, directory: Path, progress: Progress = lambda _: None, form: str = BASE3
) -> None:
    """Write a ternary model (:func:`tropism_moe.packed.ternarise`).

    Args:
        model: whose maps are all ternary.
        directory: where to; an older model there is replaced part by part, each whole.
        progress: told the number of experts that are written.
        form: of the experts, one of :data:`tropism_moe.packed.FORMS`.

    Raises:
        UnknownNameError: there is no such form.
        StoreWriteError: the disk is full, say; the store that was there is as it was.
    """
    slabs = ((layer, e, *slab(network, form)) for layer, e, network in _experts(model))
    _write(Path(directory), model.config, shared_arrays(model), slabs, form, progress)


def pack_random(
    config: ModelConfig, directory: Path, seed: int, progress: Progress = lambda _: None, form: str = BASE3
) -> None:  # fmt: skip
    """Write a model of random weights slab by slab, to be measured: it may be larger than the memory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        arrays = _random_shared(config)
    keys = ((layer, e) for layer in config.expert_layers for e in range(config.experts))
    slabs = ((*key, *_random_slab(config, np.random.default_rng([seed, *key]), form)) for key in keys)  # fmt: skip
    _write(Path(directory), config, arrays, slabs, form, progress)


def shared_arrays(model: Model) -> Arrays:
    """All but the experts, by name: ternary maps packed, routers as tables, inputs and heads rounded, everything else as it is."""
    found: Arrays = {"inputs": _half(model.inputs)}
    if model.heads:
        found["heads.weight"] = _half(model.heads.weight)
    for name, module in model.named_modules():
        if ".experts." in name:
            continue
        if isinstance(module, TernaryLinear):
            found |= on_disk(name, module.weight)
        elif isinstance(module, Routers):
            found |= _router_arrays(name, module)
        elif isinstance(module, nn.RMSNorm) and module.weight is not None:
            found[f"{name}.weight"] = module.weight.detach().numpy().copy()
        elif hasattr(module, "decay_bias"):
            found[f"{name}.decay_bias"] = module.decay_bias.detach().numpy().copy()  # pyright: ignore[reportCallIssue,reportAttributeAccessIssue]
    return found


def _router_arrays(name: str, routers: Routers) -> Arrays:
    """Their tables, in single precision where that loses nothing."""
    found = {f"{name}.{k}": v for k, v in routers.tables()._asdict().items()}
    short = {k: v.astype(np.float32) for k, v in found.items()}
    return {k: short[k] if (short[k] == v).all() else v for k, v in found.items()}


def _half(table: torch.Tensor) -> npt.NDArray[np.float16]:
    """Rounded to half precision, of which no number grows beyond what it holds."""
    most = float(np.finfo(np.float16).max)
    return table.detach().clamp(-most, most).numpy().astype(np.float16)


def _write(
    directory: Path, config: ModelConfig, arrays: Arrays, slabs: Iterable[NamedSlab], form: str, progress: Progress
) -> None:  # fmt: skip
    """Write the experts, then the shared weights, by whose checksum the store says what it belongs to."""
    directory.mkdir(parents=True, exist_ok=True)
    facts = {"config": config.to_json(), "form": form}
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


def open_store(directory: Path, mode: Mode, budget_bytes: int | None) -> ExpertStore:
    """The experts of a packed model, of whose bytes :func:`tropism_moe.packed.expert_in` makes experts.

    Raises:
        ArtifactError: the store is of another model than the shared weights, as a packing that was killed between them leaves it.
        BudgetError: the budget is smaller than two slabs.
        StoreError: it is missing or damaged.
    """
    facts = read_json(directory / f"{PART}.json")
    transform = None if form_of(facts).lends else RECODE
    store = ExpertStore.open(directory / STORE, mode, budget_bytes, transform)
    if store.facts.get("belongs", facts["sha3_256"]) != facts["sha3_256"]:
        store.close()
        raise ArtifactError(
            f"{directory}: {STORE} and {PART}.safetensors are of different models, as if a packing had been killed between "
            "them; pack the model again"
        )
    return store


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
        arrays |= _router_arrays(f"blocks.{n}.routers", Routers(config.width, lattice, BLOCK - 1))
    return arrays


def _random_slab(
    config: ModelConfig, rng: np.random.Generator, form: str
) -> tuple[bytes, dict[str, Any]]:
    d, f = config.width, config.hidden
    codes = [rng.integers(-1, 2, shape, np.int8) for shape in ((f, d), (f, d), (d, f))]
    # two of three weights are not 0: outputs have variance 1
    return slab_of(codes, [(1.5 / n) ** 0.5 for n in (d, d, f)], form)
