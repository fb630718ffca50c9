// The game's side of the Tropism bridge, protocol 1.0 (docs/bridge-protocol.md), in one file without
// dependencies: browsers dial ws://, node also dials and listens on tcp:// and unix://.
//
//   import { openGame } from "./tropism_bridge.mjs";
//   const game = await openGame(spec, { caps: ["seed"] });
//   for await (const request of game) {
//     if (request.type === "reset") world.reset(request.seed);
//     if (request.type === "step") world.step(request.action);
//     game.observe({ observation: world.see(), reward: world.reward, terminated: world.over });
//   }
//
// License: MIT, as Tropism.

export const PROTOCOL = [1, 0];
export const MAX_MESSAGE = 16777216;
export const HEADER_SIZE = 32;
export const Type = Object.freeze({
  HELLO: 1, AUTH: 3, WELCOME: 4, SPEC: 5, SHM_OFFER: 6, SHM_ACK: 7, READY: 8, RESET: 16, STEP: 17,
  OBS: 18, ACTION: 19, EVENT: 20, CALL: 21, REPLY: 22, PING: 32, PONG: 33, BELL: 34, ERROR: 48,
  CLOSE: 63,
});
export const Flag = Object.freeze({ MUST_UNDERSTAND: 1, CHECKSUM: 2, COMPRESSED: 4, SHARED: 8 });
export const Status = Object.freeze({
  STARTING: 0, READY: 1, RUNNING: 2, TERMINATED: 3, TRUNCATED: 4, RESETTING: 5, CLOSING: 6,
});

const MAGIC = 0x31524247; // "GBR1" read as a little-endian u32
const SWAPPED = 0x47425231;
const TWO32 = 4294967296;
const KNOWN = new Set(Object.values(Type));
const NAMES = Object.fromEntries(Object.entries(Type).map(([name, number]) => [number, name]));
const COMPRESSED_FROM = 1024; // bytes of a body; shorter ones do not get shorter
const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Node's own; what a browser has instead is asynchronous, so a page does not offer "zlib". */
const zlib = globalThis.process?.versions?.node ? await import("node:zlib") : null;

/** Everything that goes wrong. `code` is a code of the protocol, or "lost", "connect", "closed". */
export class BridgeError extends Error {
  constructor(code, text) {
    super(`${code}: ${text}`);
    this.name = "BridgeError";
    this.code = code;
  }
}

const protocolError = (text) => new BridgeError("protocol", text);

function demand(condition, text, code = "protocol") {
  if (!condition) throw new BridgeError(code, text);
}

// ---------------------------------------------------------------------------------- 1. messages

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function setU64(view, at, value) {
  view.setUint32(at, value % TWO32, true);
  view.setUint32(at + 4, Math.floor(value / TWO32), true);
}

/** Writes the header into the first 32 bytes of `message`, whose body already stands behind them. */
function writeHeader(message, type, seq, episode, flags) {
  const view = viewOf(message), checksum = flags & Flag.CHECKSUM;
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, type);
  view.setUint8(5, flags);
  view.setUint32(8, message.length - HEADER_SIZE, true);
  view.setUint32(12, seq, true);
  setU64(view, 16, Math.round(performance.now() * 1e6));
  view.setUint32(24, episode, true);
  view.setUint32(28, checksum ? crc32(message.subarray(HEADER_SIZE)) : 0, true);
  return message;
}

function behindRoom(bytes) {
  const message = new Uint8Array(HEADER_SIZE + bytes.length);
  message.set(bytes, HEADER_SIZE);
  return message;
}

/** Completes `message`, whose body stands behind room for the header; `granted`: flags that were agreed on. */
function seal(message, type, seq, episode, granted) {
  const checksum = granted & Flag.CHECKSUM, body = message.subarray(HEADER_SIZE);
  const compress = granted & Flag.COMPRESSED && body.length >= COMPRESSED_FROM;
  if (!compress) return writeHeader(message, type, seq, episode, checksum);
  const deflated = behindRoom(zlib.deflateSync(body, { level: 1 }));
  return writeHeader(deflated, type, seq, episode, checksum | Flag.COMPRESSED);
}

/** One whole message: header and body (a Uint8Array, or an object to be sent as JSON). */
export function packMessage(type, body = new Uint8Array(0), { seq = 0, episode = 0, granted = 0 } = {}) {
  const bytes = body instanceof Uint8Array ? body : utf8.encode(JSON.stringify(body));
  return seal(behindRoom(bytes), type, seq, episode, granted);
}

function inflate(body, most) {
  let result = null;
  try {
    result = zlib.inflateSync(body, { maxOutputLength: most, info: true });
  } catch (error) {
    demand(error.code !== "ERR_BUFFER_TOO_LARGE", `a body of more than ${most} bytes`, "too-large");
    throw protocolError("a compressed body is not a zlib stream");
  }
  demand(result.engine.bytesWritten === body.length, "bytes after a compressed body");
  return new Uint8Array(result.buffer);
}

/** The header at the start of `bytes`; throws BridgeError if it breaks the protocol. */
export function parseHeader(bytes, maxMessage = MAX_MESSAGE, allowedFlags = Flag.MUST_UNDERSTAND) {
  const view = viewOf(bytes);
  const magic = view.getUint32(0, true);
  demand(magic !== SWAPPED, "the peer sends with the wrong byte order");
  demand(magic === MAGIC, "bad magic");
  const header = {
    type: view.getUint8(4), flags: view.getUint8(5), stream: view.getUint16(6, true),
    length: view.getUint32(8, true), seq: view.getUint32(12, true),
    episode: view.getUint32(24, true), crc: view.getUint32(28, true),
  };
  demand((header.flags & ~allowedFlags) === 0, `flags ${header.flags} were not granted`);
  demand(header.stream === 0, `stream ${header.stream} is not 0`);
  demand(header.length <= maxMessage, `${header.length} bytes, at most ${maxMessage}`, "too-large");
  demand(header.flags & Flag.CHECKSUM || header.crc === 0, "a checksum without its flag");
  return header;
}

/** A stream of bytes, which may arrive in pieces of any size. */
class Pieces {
  chunks = [];
  size = 0;

  feed(bytes) {
    if (bytes.length === 0) return;
    this.chunks.push(bytes);
    this.size += bytes.length;
  }

  /** The next `count` bytes, of which there are as many. */
  take(count) {
    this.size -= count;
    const first = this.chunks[0];
    if (first && first.length > count) {
      this.chunks[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    return this.#join(count);
  }

  #join(count) {
    const whole = new Uint8Array(count);
    let have = 0, used = 0;
    for (; have < count; used++) {
      const part = this.chunks[used].subarray(0, count - have);
      whole.set(part, have);
      have += part.length;
      if (part.length < this.chunks[used].length) {
        this.chunks[used] = this.chunks[used].subarray(part.length);
        break;
      }
    }
    this.chunks.splice(0, used);
    return whole;
  }
}

/** Cuts a stream of bytes into messages. */
export class Decoder extends Pieces {
  constructor(maxMessage = MAX_MESSAGE, allowedFlags = Flag.MUST_UNDERSTAND) {
    super();
    Object.assign(this, { maxMessage, allowedFlags, header: null });
  }

  /** The next whole message `{type, flags, seq, episode, body}`, or null; throws BridgeError. */
  next() {
    if (this.header === null) {
      if (this.size < HEADER_SIZE) return null;
      this.header = parseHeader(this.take(HEADER_SIZE), this.maxMessage, this.allowedFlags);
    }
    if (this.size < this.header.length) return null;
    const { crc, ...message } = this.header;
    message.body = this.take(message.length);
    this.header = null;
    if (message.flags & Flag.CHECKSUM) demand(crc32(message.body) === crc, "wrong checksum");
    if (message.flags & Flag.COMPRESSED) message.body = inflate(message.body, this.maxMessage);
    return message;
  }

  /** Whether nothing of a further message has arrived. */
  get empty() { return this.size === 0 && this.header === null; }
}

function readJson(message) {
  let value = null;
  try {
    value = JSON.parse(strictUtf8.decode(message.body));
  } catch {
    throw protocolError(`the body of ${NAMES[message.type]} is not JSON`);
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  demand(isObject, `the body of ${NAMES[message.type]} is not an object`);
  return value;
}

// ------------------------------------------------------------------ 2. checksums and the secret
// Written out because a browser has SHA-256 only for secure pages, and only asynchronously.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  for (let bit = 0; bit < 8; bit++) index = index & 1 ? 0xedb88320 ^ (index >>> 1) : index >>> 1;
  return index;
});

/** CRC-32 (IEEE) of a Uint8Array. */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
const fraction32 = (x) => Math.floor((x - Math.floor(x)) * TWO32);
const SHA_START = PRIMES.slice(0, 8).map((prime) => fraction32(Math.sqrt(prime)));
const SHA_ROUNDS = PRIMES.map((prime) => fraction32(Math.cbrt(prime)));
const rotate = (x, by) => (x >>> by) | (x << (32 - by));

function shaBlock(state, view, at, words) {
  for (let i = 0; i < 16; i++) words[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const x = words[i - 15], y = words[i - 2];
    const low = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
    const high = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
    words[i] = words[i - 16] + low + words[i - 7] + high;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const one = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const first = (h + one + ((e & f) ^ (~e & g)) + SHA_ROUNDS[i] + words[i]) | 0;
    const zero = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const second = (zero + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] += word; });
}

/** SHA-256 (FIPS 180-4) of a Uint8Array, 32 bytes. */
export function sha256(bytes) {
  const padded = new Uint8Array(64 * Math.ceil((bytes.length + 9) / 64));
  padded.set(bytes);
  padded[bytes.length] = 128;
  const view = viewOf(padded);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 0x20000000));
  view.setUint32(padded.length - 4, (bytes.length * 8) % TWO32);
  const state = Uint32Array.from(SHA_START), words = new Uint32Array(64);
  for (let at = 0; at < padded.length; at += 64) shaBlock(state, view, at, words);
  const digest = new Uint8Array(32);
  state.forEach((word, i) => viewOf(digest).setUint32(4 * i, word));
  return digest;
}

/** HMAC-SHA256 (RFC 2104) of two Uint8Arrays, 32 bytes. */
export function hmacSha256(key, text) {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sha256(key) : key);
  const pad = (byte, rest) => sha256(new Uint8Array([...block.map((x) => x ^ byte), ...rest]));
  return pad(0x5c, pad(0x36, text));
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const isHex64 = (text) => typeof text === "string" && /^[0-9a-f]{64}$/.test(text);

function tokenBytes(text) {
  if (!text) return null;
  const good = typeof text === "string" && /^[0-9a-fA-F]{64}$/.test(text);
  demand(good, "the token must be 64 hexadecimal digits", "auth");
  return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
}

function proof(token, role, agentNonce, gameNonce) {
  return hex(hmacSha256(token, utf8.encode(`tropism-bridge-1|${role}|${agentNonce}|${gameNonce}`)));
}

function sameInConstantTime(ours, theirs) {
  let difference = 0;
  for (let i = 0; i < 64; i++) difference |= ours.charCodeAt(i) ^ theirs.charCodeAt(i);
  return difference === 0;
}

// ---------------------------------------------------------------------- 3. spaces and their layout
// A codec is {size, write(out, at, value, path), read(bytes, at)}; `out` is zero where not written.
// Arrays are copied as they stand: every machine that runs JavaScript engines is little-endian.

const ARRAYS = {
  b1: Uint8Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, i8: BigInt64Array,
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, u8: BigUint64Array,
  f2: Uint16Array, f4: Float32Array, f8: Float64Array,
};
const round8 = (size) => Math.ceil(size / 8) * 8;
const product = (shape) => shape.reduce((total, side) => total * side, 1);

function toHalf(x) {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0, size = Math.abs(x);
  if (Number.isNaN(x)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  let power = Math.max(-14, Math.floor(Math.log2(size)));
  if (2 ** power > size && power > -14) power--;
  const units = size / 2 ** (power - 10); // exact; rounded to even below
  let whole = Math.floor(units);
  if (units - whole > 0.5 || (units - whole === 0.5 && whole % 2)) whole++;
  return sign | (whole + (power + 14) * 1024); // a carry runs over into the exponent, as it should
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, power = (bits >> 10) & 31, part = bits & 1023;
  if (power === 31) return part ? NaN : sign * Infinity;
  return sign * (power ? (1024 + part) * 2 ** (power - 25) : part * 2 ** -24);
}

const flat = (value) => (ArrayBuffer.isView(value) ? Array.from(value) : [value ?? []].flat(Infinity));

/** `value` (a number, a nested or typed array) as a flat typed array of `count` elements. */
function toTyped(Kind, code, value, count, path) {
  let typed = value;
  if (!(value instanceof Kind) || code === "f2") {
    const numbers = flat(value);
    demand(!numbers.includes(undefined) && !numbers.includes(null), `${path} has a hole`, "internal");
    typed = Kind.from(numbers, code === "f2" ? toHalf : code === "i8" || code === "u8" ? BigInt : Number);
  }
  demand(typed.length === count, `${path} has ${typed.length} elements, not ${count}`, "internal");
  return typed;
}

function arrayCodec(code, count, capacity = count) {
  const Kind = ARRAYS[code];
  demand(Kind && Number.isSafeInteger(capacity), `no such array: ${code} of ${capacity}`, "spec");
  const width = Kind.BYTES_PER_ELEMENT;
  return {
    size: round8(capacity * width),
    write(out, at, value, path, used = count) {
      const typed = toTyped(Kind, code, value, used, path);
      out.set(new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength), at);
    },
    read(bytes, at, used = count) {
      const typed = new Kind(Uint8Array.prototype.slice.call(bytes, at, at + used * width).buffer);
      return code === "f2" ? Float32Array.from(typed, fromHalf) : typed;
    },
  };
}

function integerCodec({ n, start = 0 }) {
  const inside = (value) => value >= start && value < start + n;
  return {
    size: 8,
    write(out, at, value, path) {
      demand(Number.isInteger(value) && inside(value), `${path}: ${value} is outside`, "internal");
      viewOf(out).setBigInt64(at, BigInt(value), true);
    },
    read(bytes, at) {
      const value = Number(viewOf(bytes).getBigInt64(at, true));
      demand(inside(value), `action ${value} is outside`, "action");
      return value;
    },
  };
}

function multiCodec({ d, s, nvec, start = nvec.map(() => 0) }) {
  const codec = arrayCodec(d, product(s));
  const inside = (values) => values.every((x, i) => x >= start[i] && x < start[i] + nvec[i]);
  return {
    size: codec.size,
    write: codec.write,
    read(bytes, at) {
      const values = Array.from(codec.read(bytes, at), Number);
      demand(inside(values), `action ${values} is outside`, "action");
      return values;
    },
  };
}

function readCount(bytes, at, most, what) {
  const count = viewOf(bytes).getUint32(at, true);
  demand(count <= most, `${count} ${what}, at most ${most}`);
  return count;
}

function textCodec({ max }) {
  return {
    size: round8(4 + 4 * max),
    write(out, at, value, path) {
      const bytes = utf8.encode(value);
      demand(Array.from(value).length <= max, `${path} is longer than ${max}`, "internal");
      viewOf(out).setUint32(at, bytes.length, true);
      out.set(bytes, at + 4);
    },
    read(bytes, at) {
      const end = at + 4 + readCount(bytes, at, 4 * max, "bytes of text");
      try {
        return strictUtf8.decode(bytes.subarray(at + 4, end));
      } catch {
        throw protocolError("a text is not UTF-8");
      }
    },
  };
}

function tupleCodec(spaces, names) {
  const codecs = spaces.map(layout);
  const starts = [];
  const size = codecs.reduce((at, codec) => { starts.push(at); return at + codec.size; }, 0);
  return {
    size,
    write(out, at, value, path) {
      codecs.forEach((codec, i) => {
        const key = names ? names[i] : i;
        demand(value?.[key] !== undefined, `${path}.${key} is missing`, "internal");
        codec.write(out, at + starts[i], value[key], `${path}.${key}`);
      });
    },
    read(bytes, at) {
      const values = codecs.map((codec, i) => codec.read(bytes, at + starts[i]));
      return names ? Object.fromEntries(values.map((value, i) => [names[i], value])) : values;
    },
  };
}

function sequenceCodec({ of, max }) {
  const codec = layout(of);
  return {
    size: 8 + max * codec.size,
    write(out, at, values, path) {
      demand(values.length <= max, `${path} is longer than ${max}`, "internal");
      viewOf(out).setUint32(at, values.length, true);
      values.forEach((value, i) => codec.write(out, at + 8 + i * codec.size, value, `${path}.${i}`));
    },
    read(bytes, at) {
      const length = readCount(bytes, at, max, "elements");
      return Array.from({ length }, (_, i) => codec.read(bytes, at + 8 + i * codec.size));
    },
  };
}

/** Values are `[which, value]`. */
function oneOfCodec({ of }) {
  const codecs = of.map(layout);
  return {
    size: 8 + Math.max(...codecs.map((codec) => codec.size)),
    write(out, at, [which, value], path) {
      demand(codecs[which], `${path}: no alternative ${which}`, "internal");
      viewOf(out).setUint32(at, which, true);
      codecs[which].write(out, at + 8, value, `${path}.${which}`);
    },
    read(bytes, at) {
      const which = readCount(bytes, at, codecs.length - 1, "as the alternative");
      return [which, codecs[which].read(bytes, at + 8)];
    },
  };
}

/** Element type and number of elements of one node, or of one edge, of a graph. */
function rowOf(space) {
  if (space === null) return ["u1", 0];
  const type = { discrete: "i8", multibinary: "i1" }[space.t] ?? space.d;
  return [type, product(space.s ?? [])];
}

/** Values are `{nodes, edges, edge_links}`, flat or nested; the last two may be missing. */
function graphCodec({ nodes, edges, max_nodes: maxNodes, max_edges }) {
  const [nodeType, nodeSize] = rowOf(nodes), [edgeType, edgeSize] = rowOf(edges);
  const maxEdges = edges === null ? 0 : max_edges;
  const rows = arrayCodec(nodeType, 0, maxNodes * nodeSize);
  const ties = arrayCodec(edgeType, 0, maxEdges * edgeSize);
  const ends = arrayCodec("i4", 0, maxEdges * 2);
  return {
    size: 16 + rows.size + ties.size + ends.size,
    write(out, at, value, path) {
      const count = flat(value.nodes).length / (nodeSize || 1), tied = flat(value.edge_links).length / 2;
      demand(count <= maxNodes && tied <= maxEdges, `${path} is too large`, "internal");
      viewOf(out).setUint32(at, count, true);
      viewOf(out).setUint32(at + 8, tied, true);
      rows.write(out, at + 16, value.nodes, `${path}.nodes`, count * nodeSize);
      ties.write(out, at + 16 + rows.size, value.edges ?? [], `${path}.edges`, tied * edgeSize);
      ends.write(out, at + 16 + rows.size + ties.size, value.edge_links ?? [], `${path}.edge_links`, tied * 2);
    },
    read(bytes, at) {
      const count = readCount(bytes, at, maxNodes, "nodes");
      const tied = readCount(bytes, at + 8, maxEdges, "edges");
      return {
        nodes: rows.read(bytes, at + 16, count * nodeSize),
        edges: ties.read(bytes, at + 16 + rows.size, tied * edgeSize),
        edge_links: ends.read(bytes, at + 16 + rows.size + ties.size, tied * 2),
      };
    },
  };
}

const CODECS = {
  box: ({ d, s }) => arrayCodec(d, product(s)),
  discrete: integerCodec,
  multidiscrete: multiCodec,
  multibinary: ({ s }) => arrayCodec("i1", product(s)),
  text: textCodec,
  dict: ({ of }) => tupleCodec(of.map((pair) => pair[1]), of.map((pair) => pair[0])),
  tuple: ({ of }) => tupleCodec(of),
  seq: sequenceCodec,
  oneof: oneOfCodec,
  graph: graphCodec,
};

/** The codec of a space given as in section 7 of the protocol; throws BridgeError "spec". */
export function layout(space) {
  demand(Object.hasOwn(CODECS, space?.t), `no such space: ${JSON.stringify(space)}`, "spec");
  return CODECS[space.t](space);
}

// ------------------------------------------------------------------------- 4. steps, observations

/** What a SPEC means: its bytes, its hash, and the codecs of all agents. */
export class Spec {
  constructor(description) {
    this.description = description;
    this.bytes = utf8.encode(JSON.stringify(description));
    this.hash = hex(sha256(this.bytes)).slice(0, 32);
    this.ids = description.agents.map((agent) => agent.id);
    this.observations = description.agents.map((agent) => layout(agent.obs));
    this.actions = description.agents.map((agent) => layout(agent.act));
    const total = (codecs) => codecs.reduce((sum, codec) => sum + codec.size, 0);
    this.actionSize = 8 + 8 * this.ids.length + total(this.actions);
    this.observationSize = 32 + 16 * this.ids.length + total(this.observations);
  }

  /** Reads the body of STEP or ACTION: for each agent its action, or null if it does not act. */
  decodeActions(body) {
    demand(body.length === this.actionSize, `actions of ${body.length} bytes, not ${this.actionSize}`);
    const view = viewOf(body);
    demand(view.getUint32(0, true) === this.ids.length, "wrong number of agents");
    demand(view.getUint32(4, true) === 0, "not 0 after the number of agents");
    let at = 8;
    return this.actions.map((codec) => {
      const acts = view.getUint32(at, true);
      demand(acts <= 1 && view.getUint32(at + 4, true) === 0, "the flag of an action is not 0 or 1");
      const action = acts ? codec.read(body, at + 8) : null;
      at += 8 + codec.size;
      return action;
    });
  }

  /** Writes a message OBS without its header. `outcomes`: for each agent an object, or null. */
  encodeObservation(outcomes, { step = 0, applied = 0, gameTime = 0, status = Status.RUNNING } = {}) {
    const info = this.#info(outcomes);
    const message = new Uint8Array(HEADER_SIZE + this.observationSize + 8 + info.length);
    const body = message.subarray(HEADER_SIZE), view = viewOf(body);
    [step, applied, gameTime].forEach((value, i) => setU64(view, 8 * i, value));
    view.setUint32(24, status, true);
    view.setUint32(28, this.ids.length, true);
    let at = 32 + 16 * this.ids.length;
    this.observations.forEach((codec, i) => {
      if (outcomes[i]) this.#outcome(body, view, 32 + 16 * i, outcomes[i]);
      if (outcomes[i]) codec.write(body, at, outcomes[i].observation, this.ids[i]);
      at += codec.size;
    });
    view.setUint32(at, info.length, true);
    body.set(info, at + 8);
    return message;
  }

  #outcome(body, view, at, { reward = 0, terminated = false, truncated = false }) {
    demand(!Number.isNaN(Number(reward)), "the reward is not a number", "internal");
    view.setFloat64(at, Number(reward), true);
    body[at + 8] = terminated ? 1 : 0;
    body[at + 9] = truncated ? 1 : 0;
    body[at + 10] = 1;
  }

  #info(outcomes) {
    if (!outcomes.some((outcome) => outcome?.info)) return new Uint8Array(0);
    if (this.ids.length === 1) return utf8.encode(JSON.stringify(outcomes[0].info));
    const of = outcomes.map((outcome, i) => [this.ids[i], outcome?.info ?? {}]);
    return utf8.encode(JSON.stringify(Object.fromEntries(of)));
  }
}

/** An array inside JSON, for replies: `packArray(pixels, "u1", [height, width, 3])`. */
export function packArray(typed, type, shape) {
  const bytes = new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return { d: type, s: shape, b64: btoa(text) };
}

// ----------------------------------------------------------------------------------- 5. sessions

/** Messages over a transport `{send(bytes), close()}`, which calls `arrived` and `gone`. */
class Connection {
  constructor(transport) {
    Object.assign(this, {
      transport, decoder: new Decoder(), queue: [], waiting: null, open: false, ended: null,
      granted: 0, unknown: 0,
    });
  }

  send(type, body, numbers = {}) {
    if (!this.ended) this.transport.send(packMessage(type, body, { granted: this.granted, ...numbers }));
  }

  sendPrepared(message, type, seq, episode) {
    if (!this.ended) this.transport.send(seal(message, type, seq, episode, this.granted));
  }

  /** Bytes have arrived; `whole` if they must be exactly one message, as over WebSocket. */
  arrived(bytes, whole = false) {
    if (this.ended) return;
    try {
      this.decoder.feed(bytes);
      for (let message = this.decoder.next(); message && !this.ended; message = this.decoder.next()) {
        this.#take(message);
      }
      demand(!whole || this.decoder.empty || this.ended, "a WebSocket message is not one message");
    } catch (error) {
      this.fail(error);
    }
  }

  #take(message) {
    const { type, body } = message;
    if (type === Type.ERROR) return this.#end(this.#peerError(message));
    if (type === Type.CLOSE) return this.#end(null, `closed: ${readJson(message).reason}`);
    if (!KNOWN.has(type) && message.flags & Flag.MUST_UNDERSTAND) {
      throw new BridgeError("unsupported", `message type ${type}`);
    }
    if (!KNOWN.has(type)) return void this.unknown++;
    if (this.open && type === Type.PONG) return undefined;
    if (this.open && type === Type.PING) return this.#pong(body);
    this.queue.push(message);
    return this.#wake();
  }

  #pong(body) {
    demand(body.length <= 64, "a PING of more than 64 bytes");
    this.send(Type.PONG, body);
  }

  #peerError(message) {
    const { code, text } = readJson(message);
    return new BridgeError(String(code), `the agent says: ${text}`);
  }

  /** The connection has ended without CLOSE. */
  gone(text) { this.#end(null, `lost: ${text}`); }

  /** Tells the peer what is wrong and closes. */
  fail(error) {
    const code = error instanceof BridgeError ? error.code : "internal";
    this.send(Type.ERROR, { code, text: code === "auth" ? "no" : error.message, detail: null });
    this.#end(error);
  }

  close(reason) {
    this.send(Type.CLOSE, { reason });
    this.#end(null, `closed here: ${reason}`);
  }

  #end(error, reason = error?.message) {
    if (this.ended) return;
    this.ended = { error, reason };
    this.transport.close();
    this.#wake();
  }

  #wake() {
    const resolve = this.waiting;
    this.waiting = null;
    resolve?.();
  }

  /** A message that has arrived, or null. */
  poll() { return this.queue.shift() ?? null; }

  /** The next message, or null if the connection ended without an error. */
  async receive() {
    while (this.queue.length === 0 && !this.ended) {
      await new Promise((resolve) => { this.waiting = resolve; });
    }
    if (this.queue.length) return this.queue.shift();
    if (this.ended.error) throw this.ended.error;
    return null;
  }

  /** The next message of the opening, which must be of this type. */
  async expect(type, code = "protocol") {
    const message = await this.receive();
    demand(message, this.ended?.reason ?? "", "lost");
    demand(message.type === type, `${NAMES[message.type]} instead of ${NAMES[type]}`, code);
    return readJson(message);
  }
}

/** One session with an agent. Made by `openGame` or `Listener.accept`; iterate over it. */
export class Game {
  constructor(connection, spec, welcome) {
    Object.assign(this, {
      connection, spec, caps: welcome.caps, mode: welcome.mode, session: welcome.session,
      seq: 0, episode: 0, step: 0, frames: 0, started: false, begins: false, over: new Set(),
      status: Status.STARTING,
    });
  }

  /** Why the session has ended ("closed: ...", "lost: ..."), or null while it goes on. */
  get ending() { return this.connection.ended?.reason ?? null; }

  /** The next request; null when the agent has closed or is gone. Throws BridgeError. */
  async next() {
    for (;;) {
      const message = await this.connection.receive();
      const request = message && this.#guarded(message);
      if (!message || request) return request;
    }
  }

  /** A request that has arrived already, or null: for games that draw at their own pace. */
  poll() {
    for (let message = this.connection.poll(); message; message = this.connection.poll()) {
      const request = this.#guarded(message);
      if (request) return request;
    }
    return null;
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (let request = await this.next(); request; request = await this.next()) yield request;
    } finally {
      this.close("the game left its loop");
    }
  }

  #guarded(message) {
    try {
      return this.#request(message);
    } catch (error) {
      this.connection.fail(error);
      throw error;
    }
  }

  #request(message) {
    const { RESET, STEP, ACTION, EVENT, CALL } = Type;
    const act = this.mode === "latest" ? ACTION : STEP;
    if (message.type === CALL || message.type === EVENT) return this.#question(message);
    demand(message.type === RESET || message.type === act, `${NAMES[message.type]} is out of order`);
    if (!this.#isNewer(message.seq)) return null;
    return message.type === RESET ? this.#reset(message) : this.#act(message);
  }

  #question(message) {
    const isCall = message.type === Type.CALL, { id, name, args = null, data = null } = readJson(message);
    demand(typeof name === "string", `${NAMES[message.type]} without a name`);
    demand(!isCall || Number.isSafeInteger(id), "CALL without an id");
    return isCall ? { type: "call", id, name, args } : { type: "event", name, data };
  }

  #isNewer(seq) {
    const ahead = (seq - this.seq) >>> 0;
    return ahead > 0 && ahead < 2147483648;
  }

  #reset(message) {
    const { seed = null, options = null } = readJson(message);
    demand(seed === null || (Number.isSafeInteger(seed) && seed >= 0), "a seed out of range");
    demand(typeof options === "object" && !Array.isArray(options), "options are not an object");
    this.#number(message);
    Object.assign(this, { step: 0, begins: true, started: true, over: new Set() });
    return { type: "reset", seed, options };
  }

  #act(message) {
    demand(this.started, "the first request must be RESET");
    const actions = this.spec.decodeActions(message.body);
    const here = message.episode === this.episode;
    demand(here || this.mode === "latest", "a STEP of another episode");
    this.#number(message);
    if (this.spec.ids.length === 1) return { type: "step", action: actions[0] };
    return { type: "step", actions: Object.fromEntries(this.spec.ids.map((id, i) => [id, actions[i]])) };
  }

  #number(message) {
    this.seq = message.seq;
    this.episode = message.episode;
  }

  /**
   * Answers a request (lock-step), or sends a frame (latest mode). One agent: an outcome
   * `{observation, reward, terminated, truncated, info}`; several: an object of outcomes by id,
   * null or missing for an agent that is gone. `gameTime` in nanoseconds.
   */
  observe(outcome, { gameTime = 0, status } = {}) {
    const one = this.spec.ids.length === 1;
    const given = one ? [outcome] : this.spec.ids.map((id) => outcome[id] ?? null);
    const outcomes = given.map((of, i) => this.#lived(of, i));
    this.step = this.begins ? 0 : this.step + 1;
    this.begins = false;
    this.status = status ?? this.#statusAfter(outcomes);
    const facts = { step: this.step, applied: this.seq, gameTime, status: this.status };
    const message = this.spec.encodeObservation(outcomes, facts);
    this.connection.sendPrepared(message, Type.OBS, this.#sequence(), this.episode);
  }

  /** An outcome as it may be sent: nothing of an agent whose episode is over, no reward at a reset. */
  #lived(outcome, i) {
    if (!outcome || this.over.has(i)) return null;
    if (this.begins) return { observation: outcome.observation, info: outcome.info };
    if (outcome.terminated || outcome.truncated) this.over.add(i);
    return outcome;
  }

  #sequence() {
    if (this.mode !== "latest") return this.seq;
    this.frames = this.frames === TWO32 - 1 ? 1 : this.frames + 1;
    return this.frames;
  }

  #statusAfter(outcomes) {
    if (this.step === 0) return Status.READY;
    const here = outcomes.filter((outcome) => outcome);
    if (here.some((outcome) => !outcome.terminated && !outcome.truncated)) return Status.RUNNING;
    const cut = here.some((outcome) => outcome.truncated) && !here.some((outcome) => outcome.terminated);
    return cut ? Status.TRUNCATED : Status.TERMINATED;
  }

  /** Answers a request of type "call". */
  reply(call, result) { this.connection.send(Type.REPLY, { id: call.id, result: result ?? null }); }

  /** Answers a request of type "call" that went wrong. */
  replyError(call, text) { this.connection.send(Type.REPLY, { id: call.id, error: String(text) }); }

  event(name, data = null) { this.connection.send(Type.EVENT, { name, data }); }

  close(reason = "done") { this.connection.close(reason); }
}

// ------------------------------------------------------------------------------------ 6. opening

function helloOf(spec, options) {
  const offered = (options.caps ?? []).filter((cap) => cap !== "zlib" || zlib);
  const random = globalThis.crypto.getRandomValues(new Uint8Array(32));
  return {
    proto: PROTOCOL, min_major: PROTOCOL[0], role: "game", name: spec.description.name,
    version: options.version ?? "", pid: globalThis.process?.pid ?? 0,
    caps: offered.sort(), nonce: hex(random), session: options.session ?? "",
    auth: Boolean(options.token),
  };
}

function checkHello(peer) {
  const { proto, min_major: least, role, nonce, caps } = peer;
  const numbers = Array.isArray(proto) && proto.length === 2 && [...proto, least].every(Number.isSafeInteger);
  demand(numbers, "HELLO without a version");
  const agree = proto[0] >= PROTOCOL[0] && PROTOCOL[0] >= least;
  const both = `the agent speaks ${proto.join(".")} (least ${least}), this game ${PROTOCOL.join(".")}`;
  demand(agree, both, "version");
  demand(role === "agent", `the peer is not an agent but ${role}`);
  demand(isHex64(nonce), "HELLO without a nonce");
  demand(Array.isArray(caps) && caps.every((cap) => typeof cap === "string"), "HELLO without caps");
}

async function authenticate(connection, token, dialled, agentNonce, gameNonce) {
  const ours = { mac: proof(token, "game", agentNonce, gameNonce) };
  if (dialled) connection.send(Type.AUTH, ours);
  const { mac } = await connection.expect(Type.AUTH, "auth");
  const right = isHex64(mac) && sameInConstantTime(proof(token, "agent", agentNonce, gameNonce), mac);
  demand(right, "the agent does not know the token", "auth");
  if (!dialled) connection.send(Type.AUTH, ours);
}

function checkWelcome(welcome, offered) {
  const { caps, max_message: most, mode } = welcome;
  demand(Array.isArray(caps) && caps.every((cap) => offered.includes(cap)), "caps never offered");
  demand(Number.isSafeInteger(most) && most > 0, "WELCOME without max_message");
  const modeGood = mode === "lockstep" || (mode === "latest" && caps.includes("latest"));
  demand(modeGood, `mode ${mode} was not offered`);
}

async function openSteps(connection, spec, options, dialled, busy) {
  const token = tokenBytes(options.token), ours = helloOf(spec, options);
  if (dialled) connection.send(Type.HELLO, ours);
  const theirs = await connection.expect(Type.HELLO);
  checkHello(theirs);
  demand(!busy(), "this game has a session already", "busy");
  if (!dialled) connection.send(Type.HELLO, ours);
  if (token) await authenticate(connection, token, dialled, theirs.nonce, ours.nonce);
  const first = await connection.receive();
  demand(first, connection.ended?.reason ?? "", "lost");
  demand(first.type !== Type.AUTH, "the agent has a token and this game has none", "auth");
  demand(first.type === Type.WELCOME, `${NAMES[first.type]} instead of WELCOME`);
  const welcome = readJson(first);
  checkWelcome(welcome, ours.caps);
  return finish(connection, spec, welcome);
}

async function finish(connection, spec, welcome) {
  if (welcome.caps.includes("crc")) connection.granted |= Flag.CHECKSUM;
  if (welcome.caps.includes("zlib")) connection.granted |= Flag.COMPRESSED;
  connection.decoder.maxMessage = welcome.max_message;
  connection.decoder.allowedFlags |= connection.granted;
  connection.send(Type.SPEC, spec.bytes);
  connection.open = true; // what follows READY may already be here when we look again
  const { spec: hash } = await connection.expect(Type.READY);
  demand(hash === spec.hash, "the agent has read another SPEC", "spec");
  return new Game(connection, spec, welcome);
}

/** The opening of section 4, from HELLO to READY, in at most `timeout` milliseconds. */
async function openSession(connection, spec, options, dialled, busy = () => false) {
  const late = () => connection.fail(new BridgeError("timeout", "the opening took too long"));
  const timer = setTimeout(late, options.timeout ?? 5000);
  try {
    return await openSteps(connection, spec, options, dialled, busy);
  } catch (error) {
    connection.fail(error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

// --------------------------------------------------------------------------------- 7. transports

const CONTINUATION = 0, BINARY = 2, GOODBYE = 8, PING = 9, PONG = 10, LONGEST_HEAD = 8192;

function defaults(options) {
  const env = globalThis.process?.env ?? {};
  const page = new URLSearchParams(globalThis.location?.hash?.slice(1) ?? "");
  const filled = { ...options };
  filled.address ??= env.TROPISM_BRIDGE_ADDR ?? page.get("addr");
  filled.token ??= env.TROPISM_BRIDGE_TOKEN ?? page.get("token");
  filled.session ??= env.TROPISM_BRIDGE_SESSION ?? page.get("session") ?? "";
  demand(filled.address, "no address: neither given nor in TROPISM_BRIDGE_ADDR", "connect");
  return filled;
}

/** What node's net wants for tcp://host:port, ws://host:port or unix:///path. */
function netAddress(address) {
  if (address.startsWith("unix://")) return { path: address.slice(7) };
  const parts = /^(?:tcp|ws):\/\/(?:\[([^\]]+)\]|([^:/]+)):(\d+)$/.exec(address);
  demand(parts, `not an address: ${address}`, "connect");
  return { host: parts[1] ?? parts[2], port: Number(parts[3]) };
}

/** A browser does not tell a page why; most often the agent does not know the page's origin. */
const hint = () => (globalThis.location ? `; does the agent listen, and allow ${location.origin}?` : "");

function dialWebSocket(address) {
  demand(globalThis.WebSocket, "no WebSocket here (node before 22: --experimental-websocket)", "connect");
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    const connection = new Connection({ send: (bytes) => socket.send(bytes), close: () => socket.close() });
    socket.onopen = () => resolve(connection);
    socket.onerror = () => reject(new BridgeError("connect", `cannot connect to ${address}${hint()}`));
    socket.onclose = () => connection.gone("the WebSocket has closed");
    socket.onmessage = ({ data }) => (typeof data === "string"
      ? connection.fail(protocolError("a text message"))
      : connection.arrived(new Uint8Array(data), true));
  });
}

/** A connection over a socket of node's net; who has dialled us may ask for a WebSocket, see `sniffing`. */
function overSocket(socket, options = null) {
  socket.setNoDelay?.(true);
  const transport = { send: (bytes) => socket.write(bytes), close: () => socket.destroySoon() };
  const connection = new Connection(transport);
  const take = options === null ? (bytes) => connection.arrived(bytes) : sniffing(socket, connection, options);
  socket.on("data", (chunk) => take(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)));
  socket.on("end", () => connection.gone("the agent has hung up"));
  socket.on("error", (error) => connection.gone(error.message));
  return connection;
}

/** Takes the bytes of a peer that has dialled: a raw connection, or an upgrade and then a WebSocket. */
function sniffing(socket, connection, options) {
  let seen = Buffer.alloc(0), take = null;
  return (bytes) => {
    if (take !== null) return take(bytes);
    seen = Buffer.concat([seen, bytes]);
    if (seen.length < 4) return undefined;
    if (seen.toString("latin1", 0, 4) !== "GET ") {
      take = (more) => connection.arrived(more);
      return take(seen);
    }
    const end = seen.indexOf("\r\n\r\n");
    if (end < 0) return seen.length > LONGEST_HEAD ? connection.gone("an endless request") : undefined;
    const answer = upgradeAnswer(seen.toString("latin1", 0, end), options);
    socket.write(`HTTP/1.1 ${answer}\r\n\r\n`);
    if (!answer.startsWith("101")) return connection.gone(answer);
    const webSocket = new WebSocketEnd(connection, socket);
    connection.transport.send = (message) => webSocket.send(BINARY, message);
    take = (more) => webSocket.arrived(more);
    return take(seen.subarray(end + 4));
  };
}

/** The status and fields of the answer to a request for a WebSocket (RFC 6455, section 4.2). */
function upgradeAnswer(request, { origins = [], sha1 }) {
  const [line, ...lines] = request.split("\r\n");
  const fields = new Map(lines.map((text) => {
    const at = text.indexOf(":");
    return [text.slice(0, at).trim().toLowerCase(), text.slice(at + 1).trim()];
  }));
  const says = (name, what) => what.test(fields.get(name) ?? "");
  const key = fields.get("sec-websocket-key"), origin = fields.get("origin");
  const asks = line === "GET / HTTP/1.1" && says("upgrade", /^websocket$/i) && says("connection", /upgrade/i);
  const refusal = "Connection: close\r\nContent-Length: 0";
  if (!asks || !key || !says("sec-websocket-version", /^13$/)) return `400 Bad Request\r\n${refusal}`;
  if (origin !== undefined && !origins.includes(origin)) return `403 Forbidden\r\n${refusal}`;
  const accept = `Sec-WebSocket-Accept: ${sha1(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)}`;
  return `101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${accept}`;
}

/** The server's end of a WebSocket: its frames (RFC 6455, section 5), and the messages in them. */
class WebSocketEnd extends Pieces {
  constructor(connection, socket) {
    super();
    Object.assign(this, { connection, socket, parts: null, steps: this.#frames() });
    this.need = this.steps.next().value;
  }

  arrived(bytes) {
    this.feed(bytes);
    try {
      while (!this.connection.ended && this.size >= this.need) {
        this.need = this.steps.next(this.take(this.need)).value;
      }
    } catch (error) {
      this.connection.fail(error);
    }
  }

  send(opcode, payload) {
    const { length } = payload, wide = length < 126 ? 0 : length < 65536 ? 2 : 8;
    const head = Buffer.alloc(2 + wide);
    head.set([128 | opcode, { 0: length, 2: 126, 8: 127 }[wide]]);
    if (wide > 0) head.writeUIntBE(length, Math.max(2, wide - 4), Math.min(wide, 6));
    this.socket.cork();
    this.socket.write(head);
    this.socket.write(payload);
    this.socket.uncork();
  }

  /** Takes frames apart: yields how many bytes come next, and gets them. */
  * #frames() {
    for (;;) {
      const [first, second] = yield 2;
      const control = (first & 8) !== 0, short = second & 127, wide = { 126: 2, 127: 8 }[short] ?? 0;
      demand((first & 0x70) === 0 && second & 128, "a WebSocket frame with reserved bits, or without a mask");
      demand(!control || (first & 128 && wide === 0), "a WebSocket control frame is long or in pieces");
      const rest = yield wide + 4;
      const length = wide === 0 ? short : rest.subarray(0, wide).reduce((sum, byte) => sum * 256 + byte, 0);
      const whole = length + (this.parts?.size ?? 0), most = this.connection.decoder.maxMessage + HEADER_SIZE;
      demand(control || whole <= most, `a WebSocket message of ${whole} bytes`, "too-large");
      const payload = (yield length).map((byte, i) => byte ^ rest[wide + (i & 3)]);
      if (control) this.#answer(first & 15, payload);
      else this.#collect(first, payload);
    }
  }

  #answer(opcode, payload) {
    demand(opcode <= PONG, `a WebSocket frame of unknown kind ${opcode}`);
    if (opcode === PING) this.send(PONG, payload);
    if (opcode !== GOODBYE) return;
    this.send(GOODBYE, payload.subarray(0, 2));
    this.connection.gone("the WebSocket has closed");
  }

  #collect(first, payload) {
    const wanted = this.parts === null ? BINARY : CONTINUATION;
    demand((first & 15) === wanted, `a WebSocket frame of kind ${first & 15}, where it may not stand`);
    this.parts ??= new Pieces();
    this.parts.feed(payload);
    if (!(first & 128)) return;
    const whole = this.parts.take(this.parts.size);
    this.parts = null;
    this.connection.arrived(whole, true);
  }
}

async function dialSocket(address) {
  const net = await import("node:net");
  return new Promise((resolve, reject) => {
    const socket = net.connect(netAddress(address));
    const refused = (error) => reject(new BridgeError("connect", `${address}: ${error.message}`));
    socket.once("error", refused);
    socket.once("connect", () => {
      socket.off("error", refused);
      resolve(overSocket(socket));
    });
  });
}

/**
 * Dials an agent and opens a session. `spec` is the JSON of SPEC. Options: `address`, `token`,
 * `session` (from the environment, or in a browser from `#addr=...&token=...`), `caps` (of "seed",
 * "call", "render", "latest", "crc", "zlib"), `version`, `timeout` in milliseconds for the opening.
 */
export async function openGame(spec, options = {}) {
  const filled = defaults(options), prepared = new Spec(spec);
  const dial = /^wss?:/.test(filled.address) ? dialWebSocket : dialSocket;
  return openSession(await dial(filled.address), prepared, filled, true);
}

const isLoopback = (host) => host === "localhost" || host === "::1" || /^127\./.test(host);

/** A game that waits for agents to dial it (node only), raw or by WebSocket: one session at a time. */
export class Listener {
  constructor(server, spec, options) {
    Object.assign(this, { server, spec, options, ready: [], waiting: null, current: null });
    server.maxConnections = 16;
    server.on("connection", (socket) => this.#welcome(socket));
  }

  /**
   * Options as `openGame`, and `origins` of pages in a browser that may connect. The address is tcp://, ws:// (the same)
   * or unix://; without a token only loopback addresses and unix:// are served.
   */
  static async open(spec, options = {}) {
    const { createHash } = await import("node:crypto");
    const sha1 = (text) => createHash("sha1").update(text).digest("base64");
    const filled = { ...defaults(options), sha1 }, where = netAddress(filled.address);
    const safe = where.path || filled.token || isLoopback(where.host);
    demand(safe, `${filled.address} is open to others and needs a token`, "auth");
    const net = await import("node:net");
    const listener = new Listener(net.createServer(), new Spec(spec), filled);
    const mask = where.path ? process.umask(0o177) : null;
    const bound = new Promise((resolve, reject) => {
      listener.server.once("listening", resolve).once("error", reject).listen(where);
    });
    if (mask !== null) process.umask(mask);
    await bound;
    return listener;
  }

  get address() {
    const where = this.server.address();
    if (typeof where === "string") return `unix://${where}`;
    const scheme = this.options.address.startsWith("ws:") ? "ws" : "tcp";
    return `${scheme}://${where.family === "IPv6" ? `[${where.address}]` : where.address}:${where.port}`;
  }

  #busy() { return this.current !== null && !this.current.ended; }

  async #welcome(socket) {
    const connection = overSocket(socket, this.options);
    const claim = () => this.#busy() || (this.current = connection) !== connection;
    try {
      this.ready.push(await openSession(connection, this.spec, this.options, false, claim));
      this.waiting?.();
    } catch {
      socket.destroySoon(); // whoever it was has been told; go on listening
    }
  }

  /** The next session. */
  async accept() {
    while (this.ready.length === 0) await new Promise((resolve) => { this.waiting = resolve; });
    return this.ready.shift();
  }

  close() {
    this.server.close();
    this.current?.close("the game has stopped listening");
  }
}
