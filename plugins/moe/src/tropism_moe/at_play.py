"""What a policy learns while it acts, by the options that ask for it: an episodic memory, and what adapts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tropism.agents.contract import BoolArray
from tropism.errors import UnsupportedTaskError
from tropism_moe.adapting import Adapting, Step, settings
from tropism_moe.agent_config import MoEConfig
from tropism_moe.choices import Choices
from tropism_moe.folding import Folding
from tropism_moe.lattice import Indices
from tropism_moe.memory_at_play import EpisodicMemory
from tropism_moe.proofs import Proofs
from tropism_moe.serving import Chooser, Served
from tropism_moe.serving_layers import Floats


class AtPlay:
    """Of ``B`` lanes, each its own.  With default options nothing is learned, and outputs stay what they are.

    Args:
        served: the model.
        config: of the agent.
        choices: of actions.
        tokens: as :class:`~tropism_moe.proofs.Proofs` has it.
        lanes: ``B``.
    """

    def __init__(
        self, served: Served, config: MoEConfig, choices: Choices, tokens: int, lanes: int
    ) -> None:
        require(config, choices)
        self.memory = self.adapting = self.folding = None
        if config.memory:
            self.memory = EpisodicMemory(served.config.width, choices.size, lanes, config.memory)
        if config.adapt == "fold":
            self.folding = Folding(served, config.fold_rate, lanes)
        elif config.adapt != "off":
            self.adapting = Adapting(served, config, bool(tokens), lanes)
        self._proofs = Proofs(choices, tokens, lanes) if self.memory or self.adapting else None
        self._step: Step | None = None
        self._nats: Floats | None = None

    def reset(self, mask: BoolArray, seeds: npt.NDArray[np.uint64]) -> None:
        """Forget all in the lanes of ``mask``."""
        for part in (self.memory, self.folding, self._proofs):
            if part:
                part.reset(mask)
        if self.adapting:
            self.adapting.reset(mask, seeds)

    @property
    def size(self) -> int:
        """Parameters of a lane that adapt."""
        part = self.adapting or self.folding
        return part.size if part else 0

    @property
    def choose(self) -> Chooser | None:
        """How experts are chosen; None for the nearest, where they were trained."""
        part = self.adapting or self.folding
        return part.choose if part else None

    def take_passes(self, lanes: int) -> npt.NDArray[np.int64]:
        """Passes of the network that learning took since this was last asked, ``int64[B]``."""
        none = np.zeros(lanes, np.int64)
        if not self.adapting:
            return none
        passes, self.adapting.passes = self.adapting.passes, none
        return passes

    def say(self, step: Step) -> Floats:
        """Outputs ``float32[B, V]`` of a step of all lanes, by what they have learned."""
        rows = np.arange(len(step.outputs))
        if self.adapting:
            step = step._replace(outputs=self.adapting.say(step.outputs, step.features, rows))
        self._step = step
        self._nats = self.memory.advise(step.features) if self.memory else None
        return step.outputs if self._nats is None else step.outputs + self._nats

    def echo(self, outputs: Floats, features: Floats, rows: Indices) -> Floats:
        """Outputs ``float32[R, V]`` of the same step in some lanes by other experts, likewise."""
        if self.adapting:
            outputs = self.adapting.say(outputs, features, rows)
        return outputs if self._nats is None else outputs + self._nats[rows]

    def learn(self, action: Any, observation: Any, reward: npt.NDArray[np.float64]) -> None:
        """Learn what the last step came to."""
        if self._proofs is None or self._step is None:
            return
        proof = self._proofs.of(action, observation, np.asarray(reward, np.float64))
        if self.memory:
            self.memory.learn(proof)
        if self.adapting:
            self.adapting.learn(self._step, proof)


def require(config: MoEConfig, choices: Choices) -> None:
    """Refuse options that do not go with the actions of a task.

    Raises:
        UnsupportedTaskError: they need a single discrete choice, and there is another; names the option.
        OptionError: more would adapt than can.
    """
    learns = {"memory": config.memory > 0, "adapt": config.adapt not in ("off", "fold")}
    for name, asked in learns.items():
        if asked and len(choices.counts) != 1:
            raise UnsupportedTaskError(
                f"{name}={getattr(config, name)!r} needs actions that are one discrete choice, not {choices.space}; "
                "leave it off"
            )
    if learns["adapt"]:
        settings(config, choices.size, config.width, config.experts)
