// Reads and writes every golden vector with the JavaScript client: golden.mjs CLIENT FOLDER
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [client, folder] = process.argv.slice(2);
const { Decoder, Flag, HEADER_SIZE, Spec, crc32, packMessage, parseHeader, sha256 } = await import(client);
const read = (name) => new Uint8Array(readFileSync(`${folder}/${name}`));
const index = JSON.parse(new TextDecoder().decode(read("index.json")));
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const flags = Flag.MUST_UNDERSTAND | Flag.CHECKSUM | Flag.COMPRESSED;
let checked = 0;

/** Numbers and strings of any value in a row: the index does not tell arrays from lists. */
function row(value) {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap(row);
  if (ArrayBuffer.isView(value)) return Array.from(value, Number);
  if (typeof value === "object") return Object.values(value).flatMap(row);
  return [typeof value === "string" ? value : Number(value)];
}

/** Reads a message that comes byte by byte. */
function decode(bytes) {
  const decoder = new Decoder(undefined, flags);
  for (let at = 0; at < bytes.length - 1; at++) {
    decoder.feed(bytes.subarray(at, at + 1));
    assert.equal(decoder.next(), null);
  }
  decoder.feed(bytes.subarray(bytes.length - 1));
  const message = decoder.next();
  assert(decoder.empty);
  return message;
}

function checkMessage(facts) {
  const bytes = read(facts.file);
  if (facts.flags & Flag.COMPRESSED) assert.throws(() => parseHeader(bytes), { code: "protocol" }); // not granted
  const { type, seq, episode, body } = decode(bytes);
  assert.deepEqual([type, seq, episode], [facts.type, facts.seq, facts.episode]);
  if (facts.json) assert.deepEqual(JSON.parse(new TextDecoder().decode(body)), facts.json);
  else assert.equal(hex(body), facts.body ?? "");
  const again = packMessage(type, body, { seq, episode, granted: facts.flags & Flag.CHECKSUM });
  again.set(bytes.subarray(16, 24), 16); // the time
  if (facts.flags & Flag.COMPRESSED) return assert.deepEqual(decode(again).body, body); // others deflate otherwise
  again[5] = facts.flags;
  return assert.equal(hex(again), hex(bytes));
}

/** An outcome as `encodeObservation` takes it, null for an agent that is gone. */
function outcomeOf(agent, info) {
  return agent.alive ? { ...agent, info } : null;
}

function checkObservation(spec, facts) {
  const infoOf = (i) => (spec.ids.length > 1 ? facts.info[spec.ids[i]] : facts.info);
  const infos = facts.agents.map((_, i) => infoOf(i));
  const some = Object.keys(facts.info).length > 0;
  const outcomes = facts.agents.map((agent, i) => outcomeOf(agent, some ? infos[i] : undefined));
  const numbers = { ...facts, gameTime: Number(facts.game_time) };
  const message = spec.encodeObservation(outcomes, numbers);
  assert.equal(hex(message.subarray(HEADER_SIZE)), hex(read(facts.file)), facts.file);
}

function checkGame(game) {
  const bytes = read(game.spec);
  assert.equal(hex(sha256(bytes)).slice(0, 32), game.hash);
  const spec = new Spec(JSON.parse(new TextDecoder().decode(bytes)));
  assert.equal(spec.actionSize, game.step_size);
  assert.equal(spec.observationSize + 8, game.obs_size);
  for (const step of game.steps) {
    const actions = spec.decodeActions(read(step.file));
    assert.deepEqual(actions.map((x) => x === null), step.actions.map((x) => x === null));
    assert.deepEqual(row(actions), row(step.actions));
  }
  game.observations.forEach((facts) => checkObservation(spec, facts));
  checked += game.steps.length + game.observations.length;
}

function checkBroken({ file, code }) {
  if (/unsupported/.test(file)) return; // not of the decoder
  assert.throws(() => decode(read(file)), { code }, file);
  checked += 1;
}

function checkCompression() {
  for (const length of [0, 1023, 1024, 50_000]) {
    const body = Uint8Array.from({ length }, (_, i) => i % 7), granted = Flag.CHECKSUM | Flag.COMPRESSED;
    const bytes = packMessage(20, body, { granted });
    assert.equal(bytes[5], length < 1024 ? Flag.CHECKSUM : granted);
    assert.deepEqual(decode(bytes).body, body);
  }
}

checkCompression();
assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
index.messages.forEach(checkMessage);
index.broken.forEach(checkBroken);
index.games.forEach(checkGame);
console.log(checked + index.messages.length);
