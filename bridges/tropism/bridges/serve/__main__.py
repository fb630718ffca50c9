"""The command `python -m tropism.bridges.serve`: an environment by its name becomes a game."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from tropism.bridges.serve.server import Server
from tropism.errors import OptionError, TropismError


def maker(name: str) -> Callable[..., Any]:
    """What makes the environment of that name.

    Args:
        name: an id of Gymnasium's registry, "module:id" to import the module first, or "module:function".
    """
    module, colon, attribute = name.partition(":")
    if colon and attribute.replace(".", "").isidentifier():
        return reduce(getattr, attribute.split("."), importlib.import_module(module))
    import gymnasium

    return lambda **kwargs: gymnasium.make(name, disable_env_checker=True, **kwargs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        _run(options)
    except KeyboardInterrupt:
        return 130
    except TropismError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command talks to its terminal
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    try:
        kwargs = json.loads(options.kwargs)
    except ValueError as error:
        raise OptionError(f"--kwargs {options.kwargs}: {error}") from error
    if not isinstance(kwargs, dict):
        raise OptionError(f"--kwargs {options.kwargs}: expected a JSON object")
    token = os.environ.get("TROPISM_BRIDGE_TOKEN") or None
    with Server(
        maker(options.env)(**kwargs),
        name=options.name,
        fps=options.fps,
        address=options.address,
        listen=options.listen,
        token=token,
        on_agent_lost=options.on_agent_lost,
        record=options.record,
    ) as server:
        if options.listen:
            print(f"listening at {server.address}", flush=True)  # noqa: T201
        server.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tropism.bridges.serve",
        description="Let agents play an environment through the bridge. Dials the agent that has launched the command"
        " unless told otherwise; a secret is taken from TROPISM_BRIDGE_TOKEN.",
    )
    add = parser.add_argument
    add("env", help="an id such as CartPole-v1, module:id, or module:function")
    add("--kwargs", default="{}", help="arguments of the environment, as a JSON object")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--listen", metavar="ADDRESS", help="wait there for agents: tcp://127.0.0.1:0"
    )
    where.add_argument("--address", metavar="ADDRESS", help="dial an agent there")
    add("--on-agent-lost", choices=("exit", "wait"), help="default: wait if it listens, else exit")
    add("--fps", type=float, help="offer latest-frame mode at this rate")
    add("--name", help="of the game; default: the environment's own")
    add("--record", metavar="FILE", help="record all sessions there (.gbr)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
