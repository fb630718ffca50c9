# The game's side of the Tropism bridge, protocol 1.0 (docs/bridge-protocol.md), for Godot 3.2 and later
# of 3.x: lock-step and latest-frame mode over TCP, with the secret. Copy this one file into a project.
#
#   var bridge = preload("res://tropism_bridge.gd").new()
#   if not bridge.open(SPEC, {"caps": ["seed"]}):
#       print(bridge.error)
#   var request = bridge.next_request()   # blocks; null when the agent has closed or is gone
#   bridge.observe({"observation": {...}, "reward": 1.0, "terminated": false})
#
# Nothing here throws: what returns null or false has left the reason in `error` or `ending`.
# License: MIT, as Tropism.
extends Reference

const MAJOR = 1
const MINOR = 0
const MAX_MESSAGE = 16777216
const MAX_BRACKETS = 4096  # Godot's JSON parser recurses: a deep text would overflow its stack
const MAGIC = 0x31524247  # "GBR1" as a little-endian u32
const SWAPPED = 0x47425231
const HEADER_SIZE = 32
const MUST_UNDERSTAND = 1  # flags of a header
const CHECKSUM = 2
const COMPRESSED = 4
const COMPRESSED_FROM = 1024  # bytes of a body; shorter ones do not get shorter

enum {
	HELLO = 1, AUTH = 3, WELCOME = 4, SPEC = 5, SHM_OFFER = 6, SHM_ACK = 7, READY = 8, RESET = 16,
	STEP = 17, OBS = 18, ACTION = 19, EVENT = 20, CALL = 21, REPLY = 22, PING = 32, PONG = 33,
	BELL = 34, ERROR = 48, CLOSE = 63
}
enum {STATUS_STARTING, STATUS_READY, STATUS_RUNNING, STATUS_TERMINATED, STATUS_TRUNCATED}
enum {ARRAY, INTEGER, MULTI, TEXT, GROUP, SEQUENCE, ONEOF, GRAPH}  # kinds of codecs

# The three flags of an agent's outcome, as one little-endian u32.
const TERMINATED = 1
const TRUNCATED = 0x100
const ALIVE = 0x10000

const KNOWN = [1, 3, 4, 5, 6, 7, 8, 16, 17, 18, 19, 20, 21, 22, 32, 33, 34, 48, 63]
const WIDTH = {
	"b1": 1, "i1": 1, "i2": 2, "i4": 4, "i8": 8, "u1": 1, "u2": 2, "u4": 4, "u8": 8, "f2": 2,
	"f4": 4, "f8": 8
}
const PUT = {
	"b1": "put_u8", "i1": "put_8", "i2": "put_16", "i4": "put_32", "i8": "put_64", "u1": "put_u8",
	"u2": "put_u16", "u4": "put_u32", "u8": "put_u64", "f4": "put_float", "f8": "put_double"
}
const GET = {
	"b1": "get_u8", "i1": "get_8", "i2": "get_16", "i4": "get_32", "i8": "get_64", "u1": "get_u8",
	"u2": "get_u16", "u4": "get_u32", "u8": "get_u64", "f4": "get_float", "f8": "get_double"
}

var error := ""  # "code: text" of what went wrong, "" while nothing has
var ending := ""  # why the session has ended, "" while it goes on
var mode := "lockstep"  # or "latest"
var caps := []  # those that both sides have
var session := ""
var skipped := 0  # messages of unknown types

var _peer: StreamPeerTCP = null
var _open := false  # READY has been read
var _max_message := MAX_MESSAGE
var _inbox := PoolByteArray()
var _has_header := false
var _in := StreamPeerBuffer.new()
var _out := StreamPeerBuffer.new()
var _type := 0
var _flags := 0
var _seq_read := 0
var _episode_read := 0
var _length := 0
var _crc_read := 0
var _crc_table := []
var _allowed := MUST_UNDERSTAND  # flags that may come
var _body := PoolByteArray()

var _ids := []
var _obs := []
var _act := []
var _blank := PoolByteArray()  # an OBS of zeros but for what is the same in each
var _act_size := 0
var _spec_hash := ""
var _seq := 0
var _episode := 0
var _step := 0
var _frames := 0
var _begins := false
var _over := {}  # indices of the agents whose episode is over
var _status_now := STATUS_STARTING


# ------------------------------------------------------------------------------------- what games use


# Dials an agent and opens a session. `spec`: the JSON of SPEC as a Dictionary, or as a text where
# bounds need more digits than Godot's to_json writes. Options: "address" and "token" and "session"
# (else from the environment), "caps" (of "seed", "call", "render", "latest"), "version",
# "timeout_ms" for the opening.
func open(spec, options := {}) -> bool:
	var text = spec if spec is String else to_json(spec)
	if _compile(parse_json(text)) and _dial(_option(options, "address", "TROPISM_BRIDGE_ADDR")):
		_handshake(text, options, OS.get_ticks_msec() + options.get("timeout_ms", 5000))
	return ending == ""


# The next request, a Dictionary: {"type": "reset", "seed", "options"}, {"type": "step", "action"}
# (several agents: "actions" by id; null for one that does not act), {"type": "call", "id", "name",
# "args"}, {"type": "event", "name", "data"}. Null when nothing has come in `timeout_ms` (-1: waits
# for ever) or the session has ended.
func next_request(timeout_ms := -1):
	var until = -1 if timeout_ms < 0 else OS.get_ticks_msec() + timeout_ms
	while ending == "" and _read(until):
		if _type == STEP or not _is_for_transport():
			var request = _request()
			if request != null:
				return request
	return null


# Answers a request (lock-step) or sends a frame (latest). One agent: an outcome {"observation",
# "reward", "terminated", "truncated", "info"}; several: outcomes by id, null for one that is gone.
func observe(outcome, game_time_ns := 0) -> void:
	if ending != "":
		return
	var outcomes = [outcome]
	if _ids.size() > 1:
		outcomes = []
		for id in _ids:
			outcomes.append(outcome.get(id))
	_step = 0 if _begins else _step + 1
	for i in _over:
		outcomes[i] = null
	_status_now = _status(outcomes)
	_write_observation(outcomes, game_time_ns)
	_begins = false
	if ending == "":
		_send_out(OBS, _sequence(), _episode)


func reply(request: Dictionary, result) -> void:
	_send_json(REPLY, {"id": int(request["id"]), "result": result})


func reply_error(request: Dictionary, text: String) -> void:
	_send_json(REPLY, {"id": int(request["id"]), "error": text})


func event(name: String, data = null) -> void:
	_send_json(EVENT, {"name": name, "data": data})


func close(reason := "done") -> void:
	_send_json(CLOSE, {"reason": reason})
	_end("closed here: " + reason)


# An array inside JSON, for replies: pack_array(image.get_data(), "u1", [height, width, 3]).
static func pack_array(bytes: PoolByteArray, type: String, shape: Array) -> Dictionary:
	return {"d": type, "s": shape, "b64": Marshalls.raw_to_base64(bytes)}


# ------------------------------------------------------------------------------------------ messages


func _send(type: int, body: PoolByteArray) -> void:
	_out.data_array = _blank.subarray(0, HEADER_SIZE - 1) + body
	_send_out(type, 0, 0)


func _send_json(type: int, value: Dictionary) -> void:
	_send(type, to_json(value).to_utf8())


# Sends what stands in _out, after writing the header into its first 32 bytes, where the magic is.
func _send_out(type: int, seq: int, episode: int) -> void:
	if ending != "":
		return
	if _allowed > MUST_UNDERSTAND:
		type |= _wrap() << 8
	_out.seek(4)
	_out.put_u32(type)  # and the flags; the stream is 0
	_out.put_u32(_out.get_size() - HEADER_SIZE)
	_out.put_u32(seq)
	_out.put_u64(OS.get_ticks_usec() * 1000)
	_out.put_u32(episode)
	if _peer.put_data(_out.data_array) != OK:
		_end("lost: the agent does not read")


# Compresses and checks what stands in _out, as was agreed; the flags that say so.
func _wrap() -> int:
	var message := _out.data_array
	var flags := 0
	if message.size() == HEADER_SIZE:
		return 0
	var body := message.subarray(HEADER_SIZE, -1)
	if _allowed & COMPRESSED and body.size() >= COMPRESSED_FROM:
		flags |= COMPRESSED
		body = body.compress(File.COMPRESSION_DEFLATE)
		_out.resize(HEADER_SIZE)
		_out.seek(HEADER_SIZE)
		_out.put_data(body)
	if _allowed & CHECKSUM:
		flags |= CHECKSUM
		_out.seek(28)
		_out.put_u32(crc32(body))
	return flags


# CRC-32 (IEEE). A byte takes a fifth of a microsecond: for messages, not for pixels.
func crc32(bytes: PoolByteArray) -> int:
	if _crc_table.empty():
		for i in 256:
			var word: int = i
			for _bit in 8:
				word = (word >> 1) ^ (0xedb88320 if word & 1 else 0)
			_crc_table.append(word)
	var crc := 0xffffffff
	for byte in bytes:
		crc = _crc_table[(crc ^ byte) & 0xff] ^ (crc >> 8)
	return crc ^ 0xffffffff


# Reads one message into _type, _seq_read, _episode_read and _body. False if none came until then
# (-1: for ever), or it broke the protocol.
func _read(until: int) -> bool:
	if not _has_header:
		if not _fill(HEADER_SIZE, until) or not _read_header():
			return false
		_inbox = PoolByteArray()
		_has_header = true
	if not _fill(_length, until):
		return false
	_body = _inbox
	_inbox = PoolByteArray()
	_has_header = false
	return _flags <= MUST_UNDERSTAND or _unwrap()


func _fill(count: int, until: int) -> bool:
	while _inbox.size() < count:
		var missing := count - _inbox.size()
		# get_data sleeps in the system until all is there: no polling, no lost time
		var part = _peer.get_data(missing) if until < 0 else _peer.get_partial_data(missing)
		if part[0] != OK:
			_end("lost: the agent has hung up")
			return false
		if part[1].size() == count:
			_inbox = part[1]
		elif part[1].size() > 0:
			_inbox.append_array(part[1])
		elif OS.get_ticks_msec() >= until:
			return false
		else:
			OS.delay_usec(100)
	return true


func _read_header() -> bool:
	_in.data_array = _inbox
	var magic := _in.get_u32()
	var kind := _in.get_u32()
	_length = _in.get_u32()
	_seq_read = _in.get_u32()
	_in.seek(24)
	_episode_read = _in.get_u32()
	_type = kind & 0xff
	_flags = kind >> 8  # with the stream, which is 0
	if magic == SWAPPED:
		return _fail("protocol", "the peer sends with the wrong byte order")
	if magic != MAGIC:
		return _fail("protocol", "bad magic")
	if _length > _max_message:
		return _fail("too-large", "%d bytes, at most %d" % [_length, _max_message])
	_crc_read = _in.get_u32()
	if _flags & ~_allowed or (_crc_read != 0 and not _flags & CHECKSUM):
		return _fail("protocol", "a flag, stream or checksum that was not granted")
	return true


# Checks and inflates _body, as its flags say.
func _unwrap() -> bool:
	if _flags & CHECKSUM and crc32(_body) != _crc_read:
		return _fail("protocol", "wrong checksum")
	if _flags & COMPRESSED:
		_body = _body.decompress(_max_message, File.COMPRESSION_DEFLATE)
		if _body.empty():
			return _fail("protocol", "not a zlib stream, or of more than %d bytes" % _max_message)
	return true


func _is_for_transport() -> bool:
	if _type == STEP or _type == ACTION or _type == RESET:
		return false
	if _type == PING and _open:
		_pong()
	elif _type == ERROR:
		_end_by_peer()
	elif _type == CLOSE:
		_end("closed: the agent has closed")
	elif not _type in KNOWN:
		_skip()
	else:
		return _type == PONG and _open
	return true


func _pong() -> void:
	if _body.size() > 64:
		_fail("protocol", "a PING of more than 64 bytes")
	else:
		_send(PONG, _body)


func _skip() -> void:
	skipped += 1
	if _flags & MUST_UNDERSTAND:
		_fail("unsupported", "message type %d" % _type)


func _end_by_peer() -> void:
	var message = _json()
	if message != null:
		error = "%s: the agent says: %s" % [message.get("code"), message.get("text")]
		_end(error)


# The body as a Dictionary, or null after a failure.
func _json():
	var text := _body.get_string_from_utf8()
	# `count` would take seconds: its time grows with the square of what it finds
	if text.split("[").size() + text.split("{").size() > MAX_BRACKETS:
		_fail("too-large", "a JSON text with more than %d brackets" % MAX_BRACKETS)
		return null
	var parsed := JSON.parse(text)
	if parsed.error == OK and parsed.result is Dictionary:
		return parsed.result
	_fail("protocol", "the body of message type %d is not a JSON object" % _type)
	return null


# Tells the agent what is wrong and ends the session; always false.
func _fail(code: String, text: String) -> bool:
	if ending == "":
		error = code + ": " + text
		var told = "no" if code == "auth" else text
		if _peer != null:
			_send_json(ERROR, {"code": code, "text": told, "detail": null})
		_end(error)
	return false


func _end(reason: String) -> void:
	if ending == "":
		ending = reason
	if _peer != null:
		_peer.disconnect_from_host()


# ------------------------------------------------------------------------------------------- opening


static func _option(options: Dictionary, key: String, variable: String) -> String:
	return options[key] if key in options else OS.get_environment(variable)


func _dial(address: String) -> bool:
	var at := address.find_last(":")
	if not address.begins_with("tcp://") or at < 7:
		return _fail("connect", "this client dials tcp://host:port, not '%s'" % address)
	_peer = StreamPeerTCP.new()
	var host := address.substr(6, at - 6).lstrip("[").rstrip("]")
	var dialled := _peer.connect_to_host(host, int(address.substr(at + 1))) == OK
	var until := OS.get_ticks_msec() + 5000
	while dialled and _peer.get_status() == StreamPeerTCP.STATUS_CONNECTING:
		dialled = OS.get_ticks_msec() < until
		OS.delay_usec(500)
	if not dialled or _peer.get_status() != StreamPeerTCP.STATUS_CONNECTED:
		_peer = null
		return _fail("connect", "cannot connect to " + address)
	_peer.set_no_delay(true)
	return true


func _handshake(spec: String, options: Dictionary, until: int) -> void:
	var token := _option(options, "token", "TROPISM_BRIDGE_TOKEN")
	if token != "" and not _is_hex64(token.to_lower()):
		_fail("auth", "the token must be 64 hexadecimal digits")
		return
	var hello := _hello(parse_json(spec)["name"], options)
	_send_json(HELLO, hello)
	var theirs = _expect(HELLO, until)
	if theirs == null or not _check_hello(theirs):
		return
	if token != "" and not _authenticate(token, theirs["nonce"], hello["nonce"], until):
		return
	var welcome = _expect(WELCOME, until)
	if welcome != null and _check_welcome(welcome, hello["caps"]):
		_finish(spec, until)


func _hello(name: String, options: Dictionary) -> Dictionary:
	var offered: Array = options.get("caps", []).duplicate()
	offered.sort()
	return {
		"proto": [MAJOR, MINOR], "min_major": MAJOR, "role": "game", "name": name,
		"version": options.get("version", ""), "pid": OS.get_process_id(), "caps": offered,
		"nonce": Crypto.new().generate_random_bytes(32).hex_encode(),
		"session": _option(options, "session", "TROPISM_BRIDGE_SESSION"),
		"auth": _option(options, "token", "TROPISM_BRIDGE_TOKEN") != ""
	}


# The next message of the opening, which must be of this type; null after a failure.
func _expect(type: int, until: int):
	while ending == "" and _read(until) and _is_for_transport():
		pass
	if OS.get_ticks_msec() >= until:
		_fail("timeout", "the opening took too long")
	if ending != "":
		return null
	if _type != type:
		var is_auth := type == AUTH or _type == AUTH
		_fail("auth" if is_auth else "protocol", "message type %d, not %d" % [_type, type])
		return null
	return _json()


func _check_hello(theirs: Dictionary) -> bool:
	var proto = theirs.get("proto")
	var least = theirs.get("min_major")
	if not proto is Array or proto.size() != 2 or not _are_numbers(proto + [least]):
		return _fail("protocol", "HELLO without a version")
	if proto[0] < MAJOR or least > MAJOR:
		var both := [proto[0], proto[1], least, MAJOR, MINOR]
		return _fail("version", "the agent speaks %d.%d (least %d), this game %d.%d" % both)
	if not theirs.get("role") is String or theirs["role"] != "agent":
		return _fail("protocol", "the peer is not an agent")
	if not _is_hex64(theirs.get("nonce")):
		return _fail("protocol", "HELLO without a nonce")
	return true


static func _are_numbers(values: Array) -> bool:
	for value in values:
		if typeof(value) != TYPE_REAL:
			return false
	return true


func _authenticate(token: String, agent: String, game: String, until: int) -> bool:
	_send_json(AUTH, {"mac": proof(token, "game", agent, game)})
	var theirs = _expect(AUTH, until)
	if theirs == null:
		return false
	if not _is_hex64(theirs.get("mac")) or not _same(theirs["mac"], proof(token, "agent", agent, game)):
		return _fail("auth", "the agent does not know the token")
	return true


func _check_welcome(welcome: Dictionary, offered: Array) -> bool:
	var granted = welcome.get("caps")
	if not granted is Array or not _are_numbers([welcome.get("max_message")]):
		return _fail("protocol", "WELCOME without caps or max_message")
	for cap in granted:
		if not cap in offered:
			return _fail("protocol", "caps that were not offered")
	mode = str(welcome.get("mode"))
	if mode != "lockstep" and (mode != "latest" or not "latest" in granted):
		return _fail("protocol", "a mode that was not offered")
	caps = granted
	session = str(welcome.get("session", ""))
	_max_message = int(welcome["max_message"])
	_allowed |= (CHECKSUM if "crc" in caps else 0) | (COMPRESSED if "zlib" in caps else 0)
	return true


func _finish(spec: String, until: int) -> void:
	var bytes := spec.to_utf8()
	_spec_hash = sha256(bytes).hex_encode().substr(0, 32)
	_send(SPEC, bytes)
	var ready = _expect(READY, until)
	if ready != null and str(ready.get("spec")) != _spec_hash:
		_fail("spec", "the agent has read another SPEC")
	_open = true


# ------------------------------------------------------------------------------------------ requests


func _request():
	if _type == CALL or _type == EVENT:
		return _call_or_event()
	if _type != RESET and _type != (ACTION if mode == "latest" else STEP):
		_fail("protocol", "message type %d is out of order" % _type)
		return null
	var ahead := (_seq_read - _seq) & 0xffffffff
	if ahead == 0 or ahead >= 0x80000000:
		return null
	return _reset_request() if _type == RESET else _step_request()


func _call_or_event():
	var request = _json()
	if request == null:
		return null
	if not request.get("name") is String or (_type == CALL and not _are_numbers([request.get("id")])):
		_fail("protocol", "a CALL or EVENT without its id or name")
		return null
	request["type"] = "call" if _type == CALL else "event"
	return request


func _reset_request():
	var request = _json()
	if request == null:
		return null
	var seed_ = request.get("seed")
	if seed_ != null and (not _are_numbers([seed_]) or seed_ < 0 or seed_ != floor(seed_)):
		_fail("protocol", "a seed out of range")
		return null
	_seq = _seq_read
	_episode = _episode_read
	_step = 0
	_begins = true
	_over = {}
	var number = null if seed_ == null else int(seed_)
	return {"type": "reset", "seed": number, "options": request.get("options")}


func _step_request():
	if _seq == 0 or (_episode_read != _episode and mode == "lockstep"):
		_fail("protocol", "a step outside its episode")
		return null
	var actions = _read_actions()
	if ending != "":
		return null
	_seq = _seq_read
	if _ids.size() == 1:
		return {"type": "step", "action": actions[0]}
	var by_id := {}
	for i in _ids.size():
		by_id[_ids[i]] = actions[i]
	return {"type": "step", "actions": by_id}


func _read_actions() -> Array:
	var actions := []
	_in.data_array = _body
	if _body.size() != _act_size or _in.get_u32() != _ids.size() or _in.get_u32() != 0:
		_fail("protocol", "actions of a wrong size or number of agents")
		return actions
	var at := 8
	for codec in _act:
		_in.seek(at)
		var acts := _in.get_u64()
		if acts != 0 and acts != 1:
			_fail("protocol", "the flag of an action is not 0 or 1")
		actions.append(_read_value(codec, at + 8) if acts == 1 else null)
		at += 8 + codec[1]
	return actions


# -------------------------------------------------------------------------------------- observations


# Into _out, which is zero where nothing is written.
func _write_observation(outcomes: Array, game_time_ns: int) -> void:
	_out.data_array = _blank
	_out.seek(HEADER_SIZE)
	_out.put_u64(_step)
	_out.put_u64(_seq)
	_out.put_u64(game_time_ns)
	_out.put_u32(_status_now)
	var at := HEADER_SIZE + 32
	var place := at + 16 * _ids.size()
	var informed := false
	for i in _ids.size():
		var outcome = outcomes[i]
		if outcome != null:
			_out.seek(at)
			_write_outcome(outcome)
			_write_value(_obs[i], place, outcome["observation"], _ids[i])
			informed = informed or outcome.has("info")
		at += 16
		place += _obs[i][1]
	if informed:
		_write_info(place, outcomes)


func _write_outcome(outcome: Dictionary) -> void:
	var flags := ALIVE
	if _begins:
		_out.put_64(0)
	else:
		_out.put_double(outcome.get("reward", 0.0))
		if outcome.get("terminated"):
			flags |= TERMINATED
		if outcome.get("truncated"):
			flags |= TRUNCATED
	_out.put_u32(flags)


func _write_info(at: int, outcomes: Array) -> void:
	var of := {}
	var some := false
	for i in _ids.size():
		of[_ids[i]] = {} if outcomes[i] == null else outcomes[i].get("info", {})
		some = some or not of[_ids[i]].empty()
	if not some:
		return
	var info := to_json(of[_ids[0]] if _ids.size() == 1 else of).to_utf8()
	_out.seek(at)
	_out.put_u32(info.size())
	_out.put_u32(0)
	_out.put_data(info)


func _status(outcomes: Array) -> int:
	if _begins:
		return STATUS_READY
	var runs := false
	var terminated := false
	var truncated := false
	for i in outcomes.size():
		var outcome = outcomes[i]
		if outcome == null:
			continue
		if outcome.get("terminated"):
			terminated = true
			_over[i] = true
		elif outcome.get("truncated"):
			truncated = true
			_over[i] = true
		else:
			runs = true
	if runs:
		return STATUS_RUNNING
	return STATUS_TRUNCATED if truncated and not terminated else STATUS_TERMINATED


func _sequence() -> int:
	if mode != "latest":
		return _seq
	_frames = 1 if _frames == 0xffffffff else _frames + 1
	return _frames


# ------------------------------------------------------------------------------ spaces, their layout
# A codec is an Array [kind, size in bytes, ...]; section 7 of the protocol. Arrays are read flat; a
# PoolByteArray for elements of one byte is fast.


func _compile(spec) -> bool:
	if not spec is Dictionary or not spec.get("agents") is Array:
		return _fail("spec", "SPEC is not a JSON object with agents")
	var size: int = HEADER_SIZE + 40 + 16 * spec["agents"].size()
	_act_size = 8
	for agent in spec["agents"]:
		_ids.append(agent["id"])
		_obs.append(layout(agent["obs"]))
		_act.append(layout(agent["act"]))
		size += _obs.back()[1]
		_act_size += 8 + _act.back()[1]
	for codec in _obs + _act:
		if codec[0] < 0:
			return _fail("spec", "no such space: " + to_json(codec[2]))
	_out.resize(size)
	for _i in size:
		_out.put_u8(0)
	_out.seek(0)
	_out.put_u32(MAGIC)
	_out.seek(HEADER_SIZE + 28)
	_out.put_u32(_ids.size())
	_blank = _out.data_array
	return true


# The codec of a space; one of kind -1 if there is no such space.
static func layout(space) -> Array:
	if not space is Dictionary:
		return [-1, 0, space]
	match space.get("t"):
		"box":
			return _array_codec(ARRAY, space["d"], _product(space["s"]))
		"discrete":
			return [INTEGER, 8, int(space.get("start", 0)), int(space["n"])]
		"multidiscrete":
			return _array_codec(MULTI, space["d"], _product(space["s"])) + [space["nvec"], space.get("start")]
		"multibinary":
			return _array_codec(ARRAY, "i1", _product(space["s"]))
		"text":
			return [TEXT, _round8(4 + 4 * int(space["max"])), int(space["max"])]
		"dict", "tuple":
			return _group_codec(space)
		"seq":
			var of = layout(space["of"])
			return _or_bad([of], [SEQUENCE, 8 + int(space["max"]) * of[1], of, int(space["max"])])
		"oneof":
			return _oneof_codec(space)
		"graph":
			return _graph_codec(space)
	return [-1, 0, space]


static func _round8(size: int) -> int:
	return (size + 7) & ~7


static func _product(shape: Array) -> int:
	var total := 1
	for side in shape:
		total *= int(side)
	return total


static func _or_bad(parts: Array, codec: Array) -> Array:
	for part in parts:
		if part[0] < 0:
			return part
	return codec


static func _array_codec(kind: int, type: String, count: int) -> Array:
	if not type in WIDTH:
		return [-1, 0, type]
	return [kind, _round8(count * WIDTH[type]), type, count]


static func _group_codec(space: Dictionary) -> Array:
	var keys := []
	var codecs := []
	var size := 0
	for i in space["of"].size():
		var part = space["of"][i]
		keys.append(part[0] if space["t"] == "dict" else i)
		codecs.append(layout(part[1] if space["t"] == "dict" else part))
		size += codecs[i][1]
	return _or_bad(codecs, [GROUP, size, keys, codecs, space["t"] == "dict"])


static func _oneof_codec(space: Dictionary) -> Array:
	var codecs := []
	var room := 0
	for part in space["of"]:
		codecs.append(layout(part))
		room = int(max(room, codecs.back()[1]))
	return _or_bad(codecs, [ONEOF, 8 + room, codecs])


# Rows of one node and of one edge stand in array codecs whose counts are those of one row.
static func _graph_codec(space: Dictionary) -> Array:
	var nodes := _row(space["nodes"], int(space["max_nodes"]))
	var most := 0 if space["edges"] == null else int(space["max_edges"])
	var edges := _row(space["edges"], most)
	var links := [ARRAY, _round8(8 * most), "i4", 2]
	var size: int = 16 + nodes[1] + edges[1] + links[1]
	return _or_bad([nodes, edges], [GRAPH, size, nodes, edges, links, int(space["max_nodes"]), most])


static func _row(space, most: int) -> Array:
	if space == null:
		return [ARRAY, 0, "u1", 0]
	var type = {"discrete": "i8", "multibinary": "i1"}.get(space["t"], space.get("d"))
	var codec := _array_codec(ARRAY, type, _product(space.get("s", [])))
	if codec[0] >= 0:
		codec[1] = _round8(codec[3] * WIDTH[codec[2]] * most)
	return codec


# The commonest kinds first; in Godot 3 a `match` costs several times as much.
func _write_value(codec: Array, at: int, value, name) -> void:
	_out.seek(at)
	var kind: int = codec[0]
	if kind == ARRAY or kind == MULTI:
		_write_array(codec[2], codec[3], value, name)
	elif kind == INTEGER:
		_out.put_64(int(value))
	elif kind == GROUP:
		var keys: Array = codec[2]
		var i := 0
		for part in codec[3]:
			_write_value(part, at, value[keys[i]], keys[i])
			at += part[1]
			i += 1
	elif kind == TEXT:
		_write_text(codec[2], value, name)
	elif kind == SEQUENCE:
		_write_sequence(codec, at, value, name)
	elif kind == ONEOF:
		_out.put_u32(value[0])
		_write_value(codec[2][value[0]], at + 8, value[1], name)
	else:
		_write_graph(codec, at, value, name)


# The commonest values first, again: one number, bytes.
func _write_array(type: String, count: int, value, name) -> void:
	var kind := typeof(value)
	if (kind == TYPE_REAL or kind == TYPE_INT) and count == 1 and type != "f2":
		_out.call(PUT[type], value)
		return
	if kind != TYPE_RAW_ARRAY:
		value = _flat(value)
	if value.size() != count:
		_fail("internal", "%s has %d elements, not %d" % [name, value.size(), count])
	elif kind == TYPE_RAW_ARRAY and WIDTH[type] == 1:
		_put_bytes(value)
	elif type == "f4":  # spelled out because it is everywhere
		for x in value:
			_out.put_float(x)
	elif type == "f2":
		for x in value:
			_out.put_u16(to_half(x))
	else:
		var put: String = PUT[type]
		for x in value:
			_out.call(put, x)


func _put_bytes(bytes: PoolByteArray) -> void:
	if bytes.size() > 0:
		_out.put_data(bytes)


# Numbers in a row: of one number, of nested arrays, of nothing.
static func _flat(value):
	if value == null:
		return []
	if value is int or value is float or value is bool:
		return [value]
	if not value is Array or value.empty() or not value[0] is Array:
		return value
	var row := []
	for part in value:
		row += _flat(part)
	return row


func _write_text(most: int, value: String, name) -> void:
	var bytes := value.to_utf8()
	if value.length() > most:
		_fail("internal", "%s is longer than %d" % [name, most])
	elif bytes.size() > 0:
		_out.put_u32(bytes.size())
		_out.put_data(bytes)


func _write_sequence(codec: Array, at: int, value, name) -> void:
	if value.size() > codec[3]:
		_fail("internal", "%s has more than %d elements" % [name, codec[3]])
		return
	_out.put_u32(value.size())
	for i in value.size():
		_write_value(codec[2], at + 8 + i * codec[2][1], value[i], name)


# A graph is {"nodes", "edges", "edge_links"}; the last two may be missing.
func _write_graph(codec: Array, at: int, value: Dictionary, name) -> void:
	var nodes = _flat(value["nodes"])
	var links = _flat(value.get("edge_links"))
	var counts := [nodes.size() / int(max(1, codec[2][3])), links.size() / 2]
	if counts[0] > codec[5] or counts[1] > codec[6]:
		_fail("internal", "%s is too large" % name)
		return
	_out.put_u64(counts[0])
	_out.put_u64(counts[1])
	_write_array(codec[2][2], counts[0] * codec[2][3], nodes, name)
	_out.seek(at + 16 + codec[2][1])
	_write_array(codec[3][2], counts[1] * codec[3][3], value.get("edges"), name)
	_out.seek(at + 16 + codec[2][1] + codec[3][1])
	_write_array("i4", counts[1] * 2, links, name)


func _read_value(codec: Array, at: int):
	_in.seek(at)
	var kind: int = codec[0]
	if kind == INTEGER:
		return _inside(_in.get_64(), codec[2], codec[3])
	if kind == ARRAY:
		return _read_array(codec[2], codec[3])
	if kind == MULTI:
		return _read_multi(codec)
	if kind == GROUP:
		return _read_group(codec, at)
	if kind == TEXT:
		return _read_text(codec[2])
	if kind == SEQUENCE:
		return _read_sequence(codec, at)
	if kind == ONEOF:
		var which := _read_count(codec[2].size() - 1)
		return [which, _read_value(codec[2][which], at + 8)]
	return _read_graph(codec, at)


func _read_sequence(codec: Array, at: int) -> Array:
	var values := []
	for i in _read_count(codec[3]):
		values.append(_read_value(codec[2], at + 8 + i * codec[2][1]))
	return values


func _inside(value: int, start: int, n: int) -> int:
	if value < start or value >= start + n:
		_fail("action", "%d is outside its space" % value)
	return value


func _read_array(type: String, count: int):
	if count == 0:
		return []
	if type == "u1" or type == "b1":
		return _in.get_data(count)[1]
	var values := []
	values.resize(count)
	for i in count:
		values[i] = from_half(_in.get_u16()) if type == "f2" else _in.call(GET[type])
	return values


func _read_multi(codec: Array) -> Array:
	var values = _read_array(codec[2], codec[3])
	for i in values.size():
		_inside(values[i], 0 if codec[5] == null else int(codec[5][i]), int(codec[4][i]))
	return values


func _read_group(codec: Array, at: int):
	var values = {} if codec[4] else []
	for i in codec[3].size():
		var value = _read_value(codec[3][i], at)
		at += codec[3][i][1]
		if codec[4]:
			values[codec[2][i]] = value
		else:
			values.append(value)
	return values


func _read_count(most: int) -> int:
	var count := _in.get_u32()
	if count <= most:
		return count
	_fail("protocol", "a count of %d, at most %d" % [count, most])
	return 0


func _read_text(most: int) -> String:
	var count := _read_count(4 * most)
	if count == 0:
		return ""
	var bytes: PoolByteArray = _in.get_data(count)[1]
	var text := bytes.get_string_from_utf8()
	if text.to_utf8() != bytes:
		_fail("protocol", "a text is not UTF-8")
	return text


func _read_graph(codec: Array, at: int) -> Dictionary:
	var nodes := _read_count(codec[5])
	_in.seek(at + 8)
	var ties := _read_count(codec[6])
	_in.seek(at + 16)
	var graph := {"nodes": _read_array(codec[2][2], nodes * codec[2][3])}
	_in.seek(at + 16 + codec[2][1])
	graph["edges"] = _read_array(codec[3][2], ties * codec[3][3])
	_in.seek(at + 16 + codec[2][1] + codec[3][1])
	graph["edge_links"] = _read_array("i4", ties * 2)
	return graph


# Half precision, rounded to even.
static func to_half(x: float) -> int:
	var sign_ := 0x8000 if x < 0 else 0
	var size: float = abs(x)
	if is_nan(x):
		return 0x7e00
	if size >= 65520:
		return sign_ | 0x7c00
	var power := -14
	while power < 15 and size >= pow(2, power + 1):
		power += 1
	var units := size / pow(2, power - 10)
	var whole := int(floor(units))
	if units - whole > 0.5 or (units - whole == 0.5 and whole % 2 == 1):
		whole += 1
	return sign_ | (whole + (power + 14) * 1024)  # a carry runs over into the exponent, as it should


static func from_half(bits: int) -> float:
	var sign_ := -1.0 if bits & 0x8000 else 1.0
	var power := (bits >> 10) & 31
	var part = bits & 1023
	if power == 31:
		return NAN if part else sign_ * INF
	return sign_ * (pow(2, power - 25) * (1024 + part) if power > 0 else part * pow(2, -24))


# ------------------------------------------------------------------------------------------- secret


static func sha256(bytes: PoolByteArray) -> PoolByteArray:
	var context := HashingContext.new()
	context.start(HashingContext.HASH_SHA256)
	if bytes.size() > 0:
		context.update(bytes)
	return context.finish()


# RFC 2104; Godot has HMAC only since 3.4.
static func hmac_sha256(key: PoolByteArray, text: PoolByteArray) -> PoolByteArray:
	var inner := sha256(key) if key.size() > 64 else key
	while inner.size() < 64:
		inner.append(0)
	var outer := inner
	for i in 64:
		outer.set(i, inner[i] ^ 0x5c)
		inner.set(i, inner[i] ^ 0x36)
	return sha256(outer + sha256(inner + text))


static func proof(token: String, role: String, agent_nonce: String, game_nonce: String) -> String:
	var key := PoolByteArray()
	for i in 32:
		key.append(("0x" + token.substr(2 * i, 2)).hex_to_int())
	var text := "tropism-bridge-1|%s|%s|%s" % [role, agent_nonce, game_nonce]
	return hmac_sha256(key, text.to_ascii()).hex_encode()


static func _is_hex64(text) -> bool:
	if not text is String or text.length() != 64:
		return false
	for i in 64:
		if not text[i] in "0123456789abcdef":
			return false
	return true


# In constant time.
static func _same(a: String, b: String) -> bool:
	var difference := 0
	for i in 64:
		difference |= a.ord_at(i) ^ b.ord_at(i)
	return difference == 0
