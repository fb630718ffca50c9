"""Controllers by name, and from what was written about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropism.agents.options import build_config
from tropism.errors import OptionError
from tropism_evosax.checks import check_name
from tropism_evosax.networks.contract import SPEC_VERSION, Controller
from tropism_evosax.networks.gru import GRU
from tropism_evosax.networks.mlp import MLP
from tropism_evosax.networks.spiking import Spiking

NETWORKS: dict[str, type[Any]] = {network.name: network for network in (Spiking, MLP, GRU)}


def make_controller(name: str, num_inputs: int, num_actions: int, **options: Any) -> Controller:
    """The controller ``name`` of :data:`NETWORKS`.

    Args:
        name: ``"spiking"``, ``"mlp"`` or ``"gru"``.
        num_inputs: length of an observation.
        num_actions: number of actions.
        **options: fields of the controller's class; JSON values will do, also for ``plasticity``.

    Raises:
        tropism.errors.UnknownNameError: for a network or an option that does not exist.
        tropism.errors.OptionError: for a value out of range.
    """
    check_name("network", name, NETWORKS)
    sizes = {"num_inputs": num_inputs, "num_actions": num_actions}
    return build_config(NETWORKS[name], {**options, **sizes}, owner=f"network {name!r}")


def controller_from_spec(spec: Mapping[str, Any]) -> Controller:
    """The controller whose ``spec()`` this is.

    Raises:
        tropism.errors.OptionError: if the spec is incomplete or of another version.
        tropism.errors.UnknownNameError: for a network or an option that does not exist.
    """
    fields = dict(spec)
    version = fields.pop("version", None)
    if version != SPEC_VERSION:
        raise OptionError(
            f"version of a controller must be {SPEC_VERSION}, got {version!r}; "
            "install the version of tropism-evosax that wrote it"
        )
    for name in ("name", "num_inputs", "num_actions"):
        if name not in fields:
            raise OptionError(f"spec of a controller must have {name!r}, got {sorted(fields)}")
    return make_controller(
        fields.pop("name"), fields.pop("num_inputs"), fields.pop("num_actions"), **fields
    )
