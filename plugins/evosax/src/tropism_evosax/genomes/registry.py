"""Encodings by name, and from what was written about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tropism.errors import OptionError
from tropism_evosax.checks import check_name
from tropism_evosax.genomes.contract import Encoding
from tropism_evosax.genomes.cppn import CPPN
from tropism_evosax.genomes.direct import Direct
from tropism_evosax.networks.contract import SPEC_VERSION, Controller
from tropism_evosax.networks.registry import controller_from_spec

ENCODINGS: dict[str, type[Any]] = {encoding.name: encoding for encoding in (Direct, CPPN)}


def make_encoding(name: str, controller: Controller, **options: Any) -> Encoding:
    """The encoding ``name`` of :data:`ENCODINGS` for ``controller``.

    Args:
        name: ``"direct"`` or ``"cppn"``.
        controller: the network; ``"cppn"`` needs a spiking one of topology ``"lattice"``.
        **options: fields of the encoding's class.

    Raises:
        tropism.errors.UnknownNameError: for an encoding or an option that does not exist.
        tropism.errors.OptionError: for a value out of range.
    """
    check_name("encoding", name, ENCODINGS)
    known = [field.name for field in fields(ENCODINGS[name]) if field.name != "controller"]
    for option in options:
        check_name(f"option of encoding {name!r}", option, known)
    return ENCODINGS[name](controller, **options)


def encoding_from_spec(spec: Mapping[str, Any]) -> Encoding:
    """The encoding whose ``spec()`` this is.

    Raises:
        tropism.errors.OptionError: if the spec is incomplete or of another version.
        tropism.errors.UnknownNameError: for a name or an option that does not exist.
    """
    options = dict(spec)
    version = options.pop("version", None)
    if version != SPEC_VERSION:
        raise OptionError(
            f"version of an encoding must be {SPEC_VERSION}, got {version!r}; "
            "install the version of tropism-evosax that wrote it"
        )
    if not isinstance(options.get("controller"), Mapping) or "encoding" not in options:
        raise OptionError(
            f"spec of an encoding must have 'encoding' and 'controller', got {sorted(options)}"
        )
    length = options.pop("num_params", None)
    encoding = make_encoding(
        options.pop("encoding"), controller_from_spec(options.pop("controller")), **options
    )
    if length != encoding.num_params:
        raise OptionError(f"num_params must be {encoding.num_params}, got {length!r}")
    return encoding
