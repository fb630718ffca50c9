# A tiny game over the bridge: walk to the food before the energy is used up. Integers only, so that
# every language plays the same game. Nothing here is simulated by the engine, so requests are answered
# as they come, within one frame; a game with physics answers in the next one, see the README.
extends Node

const SIDE = 8
const MOVES = [[0, 0], [0, -1], [0, 1], [-1, 0], [1, 0]]  # stay, up, down, left, right
const SPEC = {
	"name": "grid",
	"agents": [{
		"id": "walker",
		"obs": {
			"t": "dict",
			"of": [
				["view", {"t": "box", "d": "u1", "s": [SIDE, SIDE], "lo": 0, "hi": 2}],
				["where", {"t": "box", "d": "i4", "s": [4], "lo": 0, "hi": 7}],
				["energy", {"t": "box", "d": "f4", "s": [], "lo": 0, "hi": 1}],
				["hungry", {"t": "discrete", "n": 2, "start": 0}],
			],
		},
		"act": {"t": "discrete", "n": 5, "start": 0},
	}],
}

var bridge = preload("res://tropism_bridge.gd").new()
var random := 1
var x := 0
var y := 0
var food_x := 0
var food_y := 0
var energy := 0
var steps := 0
var reward := 0
var blank := PoolByteArray()


func _init() -> void:
	for _i in SIDE * SIDE:
		blank.append(0)


func _ready() -> void:
	if not bridge.open(SPEC, {"caps": ["call", "crc", "seed", "zlib"], "version": "1"}):
		stop()


func _process(_delta: float) -> void:
	while bridge.ending == "":
		take(bridge.next_request())
	stop()


func stop() -> void:
	set_process(false)
	printerr(bridge.ending)
	get_tree().quit(1 if bridge.error != "" else 0)


func take(request) -> void:
	if request == null:
		return
	var type: String = request["type"]
	if type == "step":
		step(request["action"])
		bridge.observe(outcome())
	elif type == "reset":
		reset(request["seed"])
		bridge.observe(outcome())
	elif type == "call":
		answer(request)


func answer(call: Dictionary) -> void:
	if call["name"] == "echo":
		bridge.reply(call, call.get("args"))
	else:
		bridge.reply_error(call, "there is no " + call["name"])


func reset(from) -> void:
	if from != null:
		random = from % 0x100000000
		if random == 0:
			random = 1
	x = draw()
	y = draw()
	food_x = draw()
	food_y = draw()
	energy = 64
	steps = 0
	reward = 0


# Xorshift of 32 bits (Marsaglia 2003), for a coordinate.
func draw() -> int:
	random = (random ^ (random << 13)) & 0xffffffff
	random ^= random >> 17
	random = (random ^ (random << 5)) & 0xffffffff
	return random % SIDE


func step(action) -> void:
	var move = MOVES[0 if action == null else action]
	x = int(clamp(x + move[0], 0, SIDE - 1))
	y = int(clamp(y + move[1], 0, SIDE - 1))
	steps += 1
	energy -= 1
	reward = -1
	if x == food_x and y == food_y:
		reward = 10
		energy = int(min(128, energy + 16))
		food_x = draw()
		food_y = draw()


func outcome() -> Dictionary:
	var view := blank  # a copy, in Godot 3
	view.set(food_y * SIDE + food_x, 2)
	view.set(y * SIDE + x, 1)
	return {
		"observation": {
			"view": view, "where": [x, y, food_x, food_y], "energy": energy / 128.0,
			"hungry": 1 if energy < 32 else 0,
		},
		"reward": reward, "terminated": energy == 0, "truncated": energy > 0 and steps >= 200,
	}
