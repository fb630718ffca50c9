"""The loop of the original Research plugin, written anew from a description of it: a program of its own.

`python research_original.py PATH FRAME_SECONDS` writes OBS_READY whenever a frame is done, whatever stands
there, then looks every millisecond for ACTION_READY or RESET. It prints a line "actions resets sum" (of the
first number of each action it applied) when it finds TERMINATED, which the tests use to end it.
"""

import mmap
import random
import struct
import sys
import time

WIDTH, HEIGHT = 84, 84
PICTURE = WIDTH * HEIGHT * 3
SIZE = 0x20 + PICTURE + 24


def play(path: str, frame: float) -> None:
    with open(path, "wb") as file:
        file.write(bytes(SIZE))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), SIZE) as memory:
        print("ready", flush=True)  # noqa: T201
        print(*loop(memory, frame, random.Random(1)), flush=True)  # noqa: T201


def loop(memory: mmap.mmap, frame: float, draw: random.Random) -> tuple[int, int, int]:
    actions = resets = total = step = 0
    while True:
        time.sleep(draw.uniform(0, 2 * frame))  # the frame is being made
        memory[0x20 : 0x20 + PICTURE] = bytes([step % 256]) * PICTURE
        struct.pack_into("<4i", memory, 0x10, step, 0, WIDTH, HEIGHT)
        struct.pack_into("<i", memory, 0, 2)
        while (flag := struct.unpack_from("<i", memory, 0)[0]) not in (1, 3, 4):
            time.sleep(0.001)
        if flag == 4:
            return actions, resets, total
        if flag == 3:
            resets, step = resets + 1, 0
        else:
            total += int(struct.unpack_from("<6f", memory, 0x20 + PICTURE)[0])
            actions, step = actions + 1, step + 1


if __name__ == "__main__":
    play(sys.argv[1], float(sys.argv[2]))
