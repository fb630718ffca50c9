"""The golden vectors: frozen bytes that every client reads, and that this implementation still writes."""

import json
from pathlib import Path

import pytest
from tests.bridges.vectors import cases, make

from tropism.bridges.errors import ProtocolError
from tropism.bridges.protocol.bodies import ActionCodec, ObsCodec
from tropism.bridges.protocol.header import parse_header
from tropism.bridges.protocol.messages import Decoder, read_json
from tropism.bridges.protocol.spec import Spec

HERE = Path(make.__file__).parent
INDEX = json.loads((HERE / "index.json").read_text(encoding="utf-8"))
GAMES = {game["name"]: game for game in INDEX["games"]}


def raw(name):
    return (HERE / name).read_bytes()


def named(items):
    return [pytest.param(item, id=item["file"]) for item in items]


def test_the_same_bytes_are_still_written():
    index, files = make.build()
    for name, data in files.items():
        if "zlib" not in name and "bomb" not in name:  # zlib's own business
            assert raw(name) == data, name
    assert index == INDEX
    assert {path.name for path in HERE.glob("*.bin")} == set(files)


@pytest.mark.parametrize("case", named(INDEX["messages"]))
def test_every_message_is_read(case):
    header = parse_header(raw(case["file"]))
    for field in ("type", "flags", "seq", "episode"):
        assert getattr(header, field) == case[field]
    assert header.time == int(case["time"])
    decoder = Decoder()
    decoder.feed(raw(case["file"]))
    message = decoder.next()
    if case["file"] == "message-unknown.bin":
        assert (message, decoder.skipped) == (None, 1)
    elif case["json"] is None:
        assert message.body == bytes.fromhex(case["body"])
    else:
        assert read_json(message.body, message.type) == case["json"]


@pytest.mark.parametrize("case", named(INDEX["broken"]))
def test_every_broken_message_is_refused(case):
    decoder = Decoder()
    decoder.feed(raw(case["file"]))
    with pytest.raises(ProtocolError) as caught:
        decoder.next()
    assert caught.value.code == case["code"]


@pytest.mark.parametrize("name", GAMES)
def test_every_specification_is_read(name):
    game = GAMES[name]
    spec = Spec.from_bytes(raw(game["spec"]))
    assert spec.hash_hex == game["hash"]
    assert ActionCodec(spec).size == game["step_size"]
    assert ObsCodec(spec).size == game["obs_size"]
    for agent, layout in zip(game["agents"], spec.observations, strict=True):
        leaves = [[leaf.dtype, list(leaf.shape), leaf.offset] for leaf in layout.leaves]
        assert (layout.size, leaves) == (agent["obs"]["size"], agent["obs"]["leaves"])


@pytest.mark.parametrize("name", GAMES)
def test_every_body_is_read_and_written_alike(name):
    spec = Spec.from_bytes(raw(GAMES[name]["spec"]))
    for case in GAMES[name]["steps"]:
        actions = ActionCodec(spec).decode(raw(case["file"]))
        assert [cases.plain(a) for a in actions] == case["actions"]
        assert ActionCodec(spec).encode(actions) == raw(case["file"])
    for case in GAMES[name]["observations"]:
        seen = ObsCodec(spec).decode(raw(case["file"]))
        outcomes = [{**o._asdict(), "observation": cases.plain(o[-1])} for o in seen.agents]
        assert outcomes == case["agents"]
        assert seen.info == case["info"]
        facts = (seen.step, seen.applied, str(seen.game_time), seen.status)
        assert facts == tuple(case[k] for k in ("step", "applied", "game_time", "status"))
        assert ObsCodec(spec).encode(seen.agents, *seen[:4], seen.info) == raw(case["file"])


def test_a_vector_that_would_change_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "HERE", tmp_path)
    make.main()
    make.main()
    (tmp_path / "vector-obs-0.bin").write_bytes(b"other")
    with pytest.raises(SystemExit, match=r"vector-obs-0\.bin"):
        make.main()
