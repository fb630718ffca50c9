"""The client for Godot 4 is the one for Godot 3 but for these substitutions: no Godot 4 is at hand to run it."""

from pathlib import Path

HERE = Path(__file__).parents[2] / "bridges/tropism/bridges/clients/godot"

EVERYWHERE = {
    "PoolByteArray": "PackedByteArray",
    "TYPE_RAW_ARRAY": "TYPE_PACKED_BYTE_ARRAY",
    "TYPE_REAL": "TYPE_FLOAT",
    "File.COMPRESSION_": "FileAccess.COMPRESSION_",
    "OS.get_ticks_": "Time.get_ticks_",
    ".empty()": ".is_empty()",
    ".find_last(": ".rfind(",
    ".ord_at(": ".unicode_at(",
    ".subarray(0, HEADER_SIZE - 1)": ".slice(0, HEADER_SIZE)",  # the end is not in it any more
    ".subarray(HEADER_SIZE, -1)": ".slice(HEADER_SIZE)",
    ".to_ascii()": ".to_ascii_buffer()",
    ".to_utf8()": ".to_utf8_buffer()",
    "parse_json(": "JSON.parse_string(",
    "to_json(": "json_text(",
    "extends Reference": "extends RefCounted",
}
"""What has another name."""

ONCE = {
    """\
# The game's side of the Tropism bridge, protocol 1.0 (docs/bridge-protocol.md), for Godot 3.2 and later
# of 3.x: lock-step and latest-frame mode over TCP, with the secret. Copy this one file into a project.
""": """\
# The game's side of the Tropism bridge, protocol 1.0 (docs/bridge-protocol.md), for Godot 4.
# UNTESTED: translated with care from tropism_bridge.gd, which is tested in Godot 3; no Godot 4 was at
# hand. Test it with `tropism bridge check` and tell us.
""",
    "res://tropism_bridge.gd": "res://tropism_bridge_4.gd",
    """\
as a Dictionary, or as a text where
# bounds need more digits than Godot's to_json writes. Options: "address" and "token" and "session"
""": """\
as a Dictionary, or as a text if
# that is what you have. Options: "address" and "token" and "session"
""",
    """\
# ------------------------------------------------------------------------------------------ messages
""": """\
static func json_text(value) -> String:
	return JSON.stringify(value, "", false, true)  # with all digits of floats


# ------------------------------------------------------------------------------------------ messages
""",
    """\
	var parsed := JSON.parse(text)
	if parsed.error == OK and parsed.result is Dictionary:
		return parsed.result
""": """\
	var parsed = JSON.parse_string(text)
	if parsed is Dictionary and text.to_utf8_buffer() == _body:
		return parsed
""",
    """\
STATUS_CONNECTING:
		dialled =""": """\
STATUS_CONNECTING:
		_peer.poll()
		dialled =""",
    """\
# RFC 2104; Godot has HMAC only since 3.4.
""": """\
# RFC 2104.
""",
    """\
	var inner := sha256(key) if key.size() > 64 else key
""": """\
	# packed arrays are shared, not copied, in Godot 4
	var inner := sha256(key) if key.size() > 64 else key.duplicate()
""",
    "	var outer := inner\n": "	var outer := inner.duplicate()\n",
    "outer.set(i, inner[i] ^ 0x5c)": "outer[i] = inner[i] ^ 0x5c",
    "inner.set(i, inner[i] ^ 0x36)": "inner[i] = inner[i] ^ 0x36",
}
"""What is said otherwise, in one place each."""


def translated(text):
    """The client for Godot 4, made of the one for Godot 3."""
    for old, new in EVERYWHERE.items():
        text = text.replace(old, new)
    for old, new in ONCE.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_clients_for_godot_3_and_4_do_not_drift_apart():
    three, four = (
        (HERE / f"tropism_bridge{end}.gd").read_text(encoding="utf-8") for end in ("", "_4")
    )
    assert translated(three).splitlines() == four.splitlines()
