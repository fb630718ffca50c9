"""`serve(env)`: any Gymnasium or PettingZoo environment becomes a game, in an interpreter of its own.

    python -m tropism.bridges.serve CartPole-v1 --listen tcp://127.0.0.1:5005

An agent that launches this command without `--listen` finds its game; dependencies of the environment are nobody
else's business.
"""

from tropism.bridges.serve.server import Server, serve

__all__ = ["Server", "serve"]
