"""The direct encoding: every weight is a gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tropism_evosax.networks.contract import SPEC_VERSION, Array, Controller, Weights


@dataclass(frozen=True)
class Direct:
    """The genome is the flat vector of the controller's parameters.

    Attributes:
        controller: the network.
    """

    controller: Controller

    name: ClassVar[str] = "direct"

    @property
    def num_params(self) -> int:
        """Length of the genome."""
        return self.controller.num_params

    @property
    def scales(self) -> npt.NDArray[np.float32]:
        """All genes move alike."""
        return np.ones(self.num_params, np.float32)

    def develop(self, genome: Array) -> Weights:
        """The weights that ``genome``, float32[num_params], spells out.

        Raises:
            tropism.errors.OptionError: for a genome of another shape.
        """
        return self.controller.unflatten(genome)

    def spec(self) -> dict[str, Any]:
        """JSON values to build it again."""
        return {
            "encoding": self.name,
            "version": SPEC_VERSION,
            "num_params": self.num_params,
            "controller": self.controller.spec(),
        }
