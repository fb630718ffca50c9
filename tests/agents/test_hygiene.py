from __future__ import annotations

import pickle
import zipfile
from importlib import import_module

import numpy as np

from tropism.agents.contract import Task
from tropism.agents.counting import CountingTask
from tropism.agents.hygiene import imports_of, pickles_in


def test_pickles_are_found_in_all_their_disguises(tmp_path):
    for protocol in (2, 5):
        (tmp_path / f"p{protocol}").write_bytes(pickle.dumps({"a": 1}, protocol))
    (tmp_path / "by-name.pkl").write_bytes(b"anything")
    (tmp_path / "sb3.json").write_text('{"policy_class": {":type:": "x", ":serialized:": "gAWV"}}')
    np.savez(tmp_path / "objects.npz", allow_pickle=True, a=np.array([{}, None], dtype=object))
    np.save(tmp_path / "object.npy", np.array([{}, None], dtype=object))
    with zipfile.ZipFile(tmp_path / "torch.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    np.savez(tmp_path / "fine.npz", allow_pickle=False, a=np.arange(3), b=np.array("text"))
    (tmp_path / "fine.json").write_text("{}")
    (tmp_path / "fine.bin").write_bytes(b"\x80\x00\x01")
    assert sorted(pickles_in(tmp_path)) == [
        "by-name.pkl", "object.npy", "objects.npz:a.npy", "p2", "p5", "sb3.json", "torch.pt:archive/data.pkl",
    ]  # fmt: skip


def test_steps_and_seeds_are_counted():
    task = CountingTask.of(Task("tropism/Sanity-Memory-v0", train_seeds=(5, 9)))
    assert task.train_seeds == (5, 9)
    env = task.make()
    env.reset(seed=7)
    env.step(0)
    vector = task.make_vec(3, train=True)
    vector.reset(seed=20)
    vector.step(np.zeros(3, np.int64))
    vector.reset(seed=[1, 2, 3])  # pyright: ignore[reportArgumentType]
    vector.reset()
    vector.close()
    assert task.usage.unseeded == 0
    task.make().reset()
    task.make_vec(2).reset()
    assert task.usage.unseeded == 2
    assert task.usage.env_steps == 1 + 3
    assert task.usage.seeds == {7, 20, 21, 22, 1, 2, 3}


def test_imports_are_followed_inside_the_package_and_only_from_the_subject(tmp_path, monkeypatch):
    package = tmp_path / "followed"
    package.mkdir()
    (package / "__init__.py").write_text("import json\n")
    (package / "agent.py").write_text("from .near import helper\nclass Mine: ...\n")
    (package / "near.py").write_text("import tropism.errors\ndef helper(): ...\n")
    (package / "stranger.py").write_text("import tropism.benchmarks\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_module("followed.stranger")
    assert imports_of(import_module("followed.agent").Mine) == [
        "followed.agent: followed.near.helper",
        "followed.near: tropism.errors",
        "followed: json",
    ]
