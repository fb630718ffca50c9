"""Games that die on request."""

from tests.bridges.traces import PATIENT

SHORT = {**PATIENT, "step": 0.5}
