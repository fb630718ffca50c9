"""Other bridges with the same null game: 30 floats out, one float in, in a process of its own.

Run by ``bench_bridge.py`` with the Python given as ``--peers``, in whose environment ``dm-env-rpc`` and ``godot-rl`` are
installed (they do not fit beside the project's own versions)::

    python3 -m venv peers && peers/bin/pip install dm-env-rpc numpy gymnasium && peers/bin/pip install --no-deps godot-rl

It plays each peer's own client class against a game that speaks the peer's own protocol, and prints one JSON object: microseconds
of every step, by peer.  Read for this: dm_env_rpc 1.1.7, godot_rl 0.8.2.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import socket
import struct
import sys
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

FLOATS = 30


def timed(step: Callable[[], Any], steps: int) -> list[float]:
    """Microseconds of each of ``steps`` calls, a tenth as many before them not counted."""
    for _ in range(steps // 10):
        step()
    marks = [time.perf_counter()]
    for _ in range(steps):
        step()
        marks.append(time.perf_counter())
    return [(b - a) * 1e6 for a, b in zip(marks, marks[1:])]  # noqa: B905, RUF007  any Python 3


# -- Godot RL Agents: length and JSON, Python listens ---------------------------------------------------------


def godot_game(port: int) -> None:
    """Dial and answer as the plugin in a Godot game does."""
    link = _dial(port)
    stream = link.makefile("rb")
    observation = {"obs": [0.5] * FLOATS}
    spaces = {
        "type": "env_info",
        "n_agents": 1,
        "action_space": {"move": {"size": 1, "action_type": "continuous"}},
        "observation_space": {"obs": {"size": [FLOATS], "space": "box"}},
    }
    answers = {
        "env_info": spaces,
        "reset": {"type": "reset", "obs": [observation]},
        "action": {"type": "step", "obs": [observation], "reward": [0.0], "done": [False]},
    }
    while head := stream.read(4):
        request = json.loads(stream.read(struct.unpack("<I", head)[0]))
        if request["type"] == "close":
            return
        if answer := answers.get(request["type"]):
            text = json.dumps(answer).encode()
            link.sendall(struct.pack("<I", len(text)) + text)


def _dial(port: int) -> socket.socket:
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            link = socket.create_connection(("127.0.0.1", port))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return link
        time.sleep(0.01)


def godot(steps: int) -> list[float]:
    """``GodotEnv.step``."""
    import numpy as np
    from godot_rl.core.godot_env import GodotEnv

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    game = multiprocessing.Process(target=godot_game, args=(port,), daemon=True)
    game.start()
    with contextlib.redirect_stdout(io.StringIO()):
        env = GodotEnv(port=port)
        env.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        env.reset()
        action = [np.zeros((1, 1), np.float32)]
        found = timed(lambda: env.step(action), steps)
        env.close()
    game.join()
    return found


# -- dm_env_rpc: a bidirectional gRPC stream, the game listens -------------------------------------------------


def dm_game(pipe: Any) -> None:
    """Serve what the client needs of the protocol."""
    import grpc
    from dm_env_rpc.v1 import dm_env_rpc_pb2 as pb
    from dm_env_rpc.v1 import dm_env_rpc_pb2_grpc, tensor_utils

    observation = tensor_utils.pack_tensor([0.5] * FLOATS, dtype=pb.DataType.FLOAT)

    class Game(dm_env_rpc_pb2_grpc.EnvironmentServicer):
        def Process(self, request_iterator: Any, context: Any) -> Any:  # noqa: ARG002
            """Answer each request."""
            for request in request_iterator:
                response = pb.EnvironmentResponse()
                if request.HasField("join_world"):
                    specs = response.join_world.specs
                    specs.observations[1].dtype = pb.DataType.FLOAT
                    specs.observations[1].name = "obs"
                    specs.observations[1].shape.append(FLOATS)
                    specs.actions[1].dtype = pb.DataType.FLOAT
                    specs.actions[1].name = "move"
                else:
                    response.step.state = pb.EnvironmentStateType.RUNNING
                    response.step.observations[1].CopyFrom(observation)
                yield response

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    dm_env_rpc_pb2_grpc.add_EnvironmentServicer_to_server(Game(), server)
    port = server.add_secure_port("localhost:0", grpc.local_server_credentials())
    server.start()
    pipe.send(port)
    pipe.recv()
    server.stop(0)


def dm_env_rpc(steps: int) -> list[float]:
    """``Connection.send`` of a step, with the observation unpacked."""
    from dm_env_rpc.v1 import connection, tensor_utils
    from dm_env_rpc.v1 import dm_env_rpc_pb2 as pb

    ours, theirs = multiprocessing.Pipe()
    game = multiprocessing.Process(target=dm_game, args=(theirs,), daemon=True)
    game.start()
    link = connection.create_secure_channel_and_connect(f"localhost:{ours.recv()}")
    link.send(pb.JoinWorldRequest(world_name="null"))

    def step() -> Any:
        request = pb.StepRequest(requested_observations=[1])
        request.actions[1].floats.array.append(0.0)
        return tensor_utils.unpack_tensor(link.send(request).observations[1])

    found = timed(step, steps)
    link.close()
    ours.send(None)
    game.join()
    return found


PEERS: dict[str, Callable[[int], list[float]]] = {"godot_rl": godot, "dm_env_rpc": dm_env_rpc}

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    print(json.dumps({name: PEERS[name](int(sys.argv[2])) for name in sys.argv[1].split(",")}))
