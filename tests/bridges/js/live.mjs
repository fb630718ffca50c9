// A game of two agents that runs by itself, some hundred frames a second: live.mjs CLIENT
const { openGame } = await import(process.argv[2]);
const space = { t: "tuple", of: [{ t: "discrete", n: 3 }, { t: "box", d: "u4", s: [], lo: 0, hi: 4294967295 }] };
const agents = ["red", "blue"].map((id) => ({ id, obs: space, act: { t: "discrete", n: 3 } }));
const game = await openGame({ name: "live", agents, hold: true }, { caps: ["latest"] });
let actions = null;
let frame = 0;

function take(request) {
  if (request.type === "reset") [actions, frame] = [{ red: 0, blue: 0 }, 0];
  if (request.type === "step") actions = request.actions;
}

while (!game.ending) {
  for (let request = game.poll(); request; request = game.poll()) take(request);
  const see = (id) => (actions[id] === null ? null : { observation: [actions[id], frame], reward: frame });
  if (actions) game.observe({ red: see("red"), blue: see("blue") });
  frame += 1;
  await new Promise((resolve) => { setTimeout(resolve, 2); });
}
