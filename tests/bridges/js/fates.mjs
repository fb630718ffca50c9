// A game of two agents whose actions are their fates: 0 goes on, 1 is terminated, 2 truncated: fates.mjs CLIENT
const { openGame } = await import(process.argv[2]);
const space = { t: "discrete", n: 3 };
const game = await openGame({ name: "fates", agents: ["red", "blue"].map((id) => ({ id, obs: space, act: space })) });
const outcome = (fate) => ({ observation: fate, terminated: fate === 1, truncated: fate === 2 });
for await (const { actions } of game) game.observe({ red: outcome(actions?.red ?? 0), blue: outcome(actions?.blue ?? 0) });
