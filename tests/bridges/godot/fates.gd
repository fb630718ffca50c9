# A game of two agents whose actions are their fates: 0 goes on, 1 is terminated, 2 truncated.
extends SceneTree

const SPACE = {"t": "discrete", "n": 3}

var bridge = preload("res://tropism_bridge.gd").new()


func _init() -> void:
	var agents := [{"id": "red", "obs": SPACE, "act": SPACE}, {"id": "blue", "obs": SPACE, "act": SPACE}]
	bridge.open({"name": "fates", "agents": agents})
	var request = bridge.next_request()
	while request != null:
		var actions: Dictionary = request.get("actions", {})
		bridge.observe({"red": outcome(actions.get("red")), "blue": outcome(actions.get("blue"))})
		request = bridge.next_request()
	quit()


func outcome(action) -> Dictionary:
	var fate: int = 0 if action == null else action
	return {"observation": fate, "terminated": fate == 1, "truncated": fate == 2}
