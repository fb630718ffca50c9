# Reads and writes every golden vector with the client for Godot 3; the folder is in GOLDEN.
extends SceneTree

const Bridge = preload("res://tropism_bridge.gd")

var folder := OS.get_environment("GOLDEN") + "/"
var checked := 0
var failed := false


func _init() -> void:
	var index = parse_json(read("index.json").get_string_from_utf8())
	check_secret()
	check_halves()
	check_wrapping()
	for facts in index["messages"]:
		check_message(facts)
	for facts in index["broken"]:
		check_broken(facts)
	for game in index["games"]:
		check_game(game)
	print("failed" if failed else "checked %d" % checked)
	quit(1 if failed else 0)


func same(what: String, ours, wanted) -> void:
	checked += 1
	if ours != wanted:
		failed = true
		printerr("%s: %s, not %s" % [what, ours, wanted])


func read(name: String) -> PoolByteArray:
	var file := File.new()
	same("open " + name, file.open(folder + name, File.READ), OK)
	return file.get_buffer(file.get_len())


# RFC 4231, test case 2; and a key longer than a block, test case 6.
func check_secret() -> void:
	var mac = Bridge.hmac_sha256("Jefe".to_ascii(), "what do ya want for nothing?".to_ascii())
	same("mac", mac.hex_encode(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
	var key := PoolByteArray()
	for _i in 131:
		key.append(0xaa)
	mac = Bridge.hmac_sha256(key, "Test Using Larger Than Block-Size Key - Hash Key First".to_ascii())
	same("long", mac.hex_encode(), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")


func check_halves() -> void:
	for bits in [0, 1, 0x3ff, 0x400, 0x3c00, 0x7bff, 0x7c00, 0x8001, 0xc000, 0xfbff, 0xfc00]:
		same("half", Bridge.to_half(Bridge.from_half(bits)), bits)
	for pair in [[2049, 0x6800], [2051, 0x6802], [65519.9, 0x7bff], [65520, 0x7c00], [1e-9, 0]]:
		same("half of %s" % pair[0], Bridge.to_half(pair[0]), pair[1])


# A message as it is read by a client that was granted checksums and compression.
func read_message(bridge, bytes: PoolByteArray) -> bool:
	bridge._allowed = 7
	bridge._inbox = bytes.subarray(0, 31)
	if not bridge._read_header():
		return false
	bridge._body = bytes.subarray(32, -1) if bytes.size() > 32 else PoolByteArray()
	return bridge._unwrap()


func check_message(facts: Dictionary) -> void:
	var bridge = Bridge.new()
	same(facts["file"] + bridge.error, read_message(bridge, read(facts["file"])), true)
	same("type", bridge._type, int(facts["type"]))
	same("seq", bridge._seq_read, int(facts["seq"]))
	same("episode", bridge._episode_read, int(facts["episode"]))
	if facts["json"] != null:
		same("json", to_json(bridge._json()), to_json(facts["json"]))


func check_broken(facts: Dictionary) -> void:
	if "unsupported" in facts["file"]:
		return
	var bridge = Bridge.new()
	bridge._max_message = 65536
	same(facts["file"], read_message(bridge, read(facts["file"])), false)
	var code = "protocol" if "bomb" in facts["file"] else facts["code"]
	same("code", bridge.error.split(":")[0], code)


# What is written with a checksum, compressed or not, is read again.
func check_wrapping() -> void:
	same("crc", Bridge.new().crc32("123456789".to_ascii()), 0xcbf43926)
	for length in [0, 10, 5000]:
		var body := PoolByteArray()
		for i in length:
			body.append(i % 7)
		var bridge = Bridge.new()
		bridge._compile({"agents": []})
		bridge._allowed = 7
		bridge._out.data_array = bridge._blank.subarray(0, 31) + body
		var flags: int = bridge._wrap()
		bridge._out.seek(4)
		bridge._out.put_u32(20 | flags << 8)
		bridge._out.put_u32(bridge._out.get_size() - 32)
		same("flags", flags, [0, 2, 6][int(length > 0) + int(length > 1000)])
		same("wrapped", read_message(bridge, bridge._out.data_array), true)
		same("again", bridge._body.hex_encode(), body.hex_encode())


func row(value) -> Array:
	var values := []
	if value is Dictionary:
		for key in value:
			values += row(value[key])
	elif value is Array or value is PoolByteArray:
		for part in value:
			values += row(part)
	elif value is String:
		values.append(value)
	elif value != null:
		values.append(float(value))
	return values


func check_game(game: Dictionary) -> void:
	var text := read(game["spec"])
	same("hash", Bridge.sha256(text).hex_encode().substr(0, 32), game["hash"])
	for facts in game["steps"]:
		check_step(compiled(text), facts)
	for facts in game["observations"]:
		check_observation(compiled(text), facts, game)


func compiled(text: PoolByteArray):
	var bridge = Bridge.new()
	same("compile", bridge._compile(parse_json(text.get_string_from_utf8())), true)
	return bridge


func check_step(bridge, facts: Dictionary) -> void:
	bridge._body = read(facts["file"])
	var actions = bridge._read_actions()
	same(facts["file"] + bridge.error, row(actions), row(facts["actions"]))
	for i in actions.size():
		same("acts", actions[i] == null, facts["actions"][i] == null)


func check_observation(bridge, facts: Dictionary, game: Dictionary) -> void:
	var outcomes := []
	for i in facts["agents"].size():
		var outcome = facts["agents"][i] if facts["agents"][i]["alive"] else null
		if outcome != null and not facts["info"].empty():
			var infos: Dictionary = facts["info"]
			outcome["info"] = infos[game["agents"][i]["id"]] if game["agents"].size() > 1 else infos
		outcomes.append(outcome)
	bridge._step = int(facts["step"])
	bridge._seq = int(facts["applied"])
	bridge._status_now = int(facts["status"])
	bridge._write_observation(outcomes, int(facts["game_time"]))
	var ours: PoolByteArray = bridge._out.data_array
	var wanted := read(facts["file"])
	same(facts["file"] + bridge.error, ours.subarray(32, ours.size() - 1).hex_encode(), wanted.hex_encode())
