// A tiny game over the bridge: walk to the food before the energy is used up. Integers only, so that
// every language plays the same game. Run by an agent that sets TROPISM_BRIDGE_ADDR:
//   gymnasium.make("tropism/Bridge-v0", command=["node", "example_grid.mjs"])
// or left waiting for agents: node example_grid.mjs --listen tcp://127.0.0.1:5577

import { Listener, openGame } from "./tropism_bridge.mjs";

const SIDE = 8;
const MOVES = [[0, 0], [0, -1], [0, 1], [-1, 0], [1, 0]]; // stay, up, down, left, right

export const SPEC = {
  name: "grid",
  agents: [{
    id: "walker",
    obs: {
      t: "dict",
      of: [
        ["view", { t: "box", d: "u1", s: [SIDE, SIDE], lo: 0, hi: 2 }],
        ["where", { t: "box", d: "i4", s: [4], lo: 0, hi: SIDE - 1 }],
        ["energy", { t: "box", d: "f4", s: [], lo: 0, hi: 1 }],
        ["hungry", { t: "discrete", n: 2, start: 0 }],
      ],
    },
    act: { t: "discrete", n: MOVES.length, start: 0 },
  }],
};

export class World {
  random = 1;

  reset(seed) {
    if (seed !== null) this.random = seed % 4294967296 || 1;
    [this.x, this.y] = [this.draw(), this.draw()];
    [this.foodX, this.foodY] = [this.draw(), this.draw()];
    Object.assign(this, { energy: 64, steps: 0, reward: 0 });
  }

  /** Xorshift of 32 bits (Marsaglia 2003), for a coordinate. */
  draw() {
    this.random = (this.random ^ (this.random << 13)) >>> 0;
    this.random ^= this.random >>> 17;
    this.random = (this.random ^ (this.random << 5)) >>> 0;
    return this.random % SIDE;
  }

  step(action) {
    const [dx, dy] = MOVES[action];
    this.x = Math.min(SIDE - 1, Math.max(0, this.x + dx));
    this.y = Math.min(SIDE - 1, Math.max(0, this.y + dy));
    this.steps += 1;
    this.energy -= 1;
    this.reward = -1;
    if (this.x === this.foodX && this.y === this.foodY) this.eat();
  }

  eat() {
    this.reward = 10;
    this.energy = Math.min(128, this.energy + 16);
    [this.foodX, this.foodY] = [this.draw(), this.draw()];
  }

  get outcome() {
    const view = new Uint8Array(SIDE * SIDE);
    view[this.foodY * SIDE + this.foodX] = 2;
    view[this.y * SIDE + this.x] = 1;
    const where = [this.x, this.y, this.foodX, this.foodY];
    const observation = { view, where, energy: this.energy / 128, hungry: this.energy < 32 ? 1 : 0 };
    const terminated = this.energy === 0;
    return { observation, reward: this.reward, terminated, truncated: !terminated && this.steps >= 200 };
  }
}

function answer(game, call) {
  if (call.name === "echo") game.reply(call, call.args);
  else game.replyError(call, `there is no ${call.name}`);
}

/** Plays one session to its end; `show` is called with the world after every request. */
export async function play(game, show = () => {}) {
  const world = new World();
  for await (const request of game) {
    if (request.type === "call") answer(game, request);
    if (request.type === "reset") world.reset(request.seed);
    if (request.type === "step") world.step(request.action ?? 0);
    if (request.type === "reset" || request.type === "step") game.observe(world.outcome);
    show(world);
  }
  return game.ending;
}

export const OPTIONS = { caps: ["call", "crc", "seed", "zlib"], version: "1" };

async function main(args) {
  if (args[0] !== "--listen") return console.log(await play(await openGame(SPEC, OPTIONS)));
  const listener = await Listener.open(SPEC, { ...OPTIONS, address: args[1] });
  console.log(listener.address);
  for (;;) await play(await listener.accept()).catch((error) => console.error(error.message));
}

const isProgram = globalThis.process?.argv?.[1]?.endsWith("example_grid.mjs");
if (isProgram) await main(process.argv.slice(2));
