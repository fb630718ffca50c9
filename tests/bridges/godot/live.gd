# A game of two agents that runs by itself, some hundred frames a second.
extends SceneTree

const SPACE = {"t": "tuple", "of": [{"t": "discrete", "n": 3}, {"t": "box", "d": "u4", "s": [], "lo": 0, "hi": 4294967295}]}
const ACT = {"t": "discrete", "n": 3}

var bridge = preload("res://tropism_bridge.gd").new()
var actions = null
var frame := 0


func _init() -> void:
	var agents := [{"id": "red", "obs": SPACE, "act": ACT}, {"id": "blue", "obs": SPACE, "act": ACT}]
	bridge.open({"name": "live", "agents": agents, "hold": true}, {"caps": ["latest"]})
	while bridge.ending == "":
		tick()
		OS.delay_msec(2)
	quit()


func tick() -> void:
	var request = bridge.next_request(0)
	while request != null:
		take(request)
		request = bridge.next_request(0)
	if actions != null:
		bridge.observe({"red": see("red"), "blue": see("blue")})
	frame += 1


func take(request: Dictionary) -> void:
	if request["type"] == "reset":
		actions = {"red": 0, "blue": 0}
		frame = 0
	elif request["type"] == "step":
		actions = request["actions"]


func see(id: String):
	if actions[id] == null:
		return null
	return {"observation": [actions[id], frame], "reward": frame}
