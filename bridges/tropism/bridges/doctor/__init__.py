"""Why does a connection not come up?  Looks at the machine, an address and a command, and says what to do.

On the command line: `tropism bridge doctor`.
"""

from tropism.bridges.doctor.finding import Finding
from tropism.bridges.doctor.games import dial_game, launch_game, try_listening
from tropism.bridges.doctor.machine import look_at_machine

__all__ = ["Finding", "dial_game", "launch_game", "look_at_machine", "try_listening"]
