// What a browser needs to check a transparency log by itself: RFC 6962 hashing, C2SP notes and tlog-proofs, Ed25519.
// Web Crypto only; nothing here trusts what the server says about the result.

const HEADER = "c2sp.org/tlog-proof@v1";
const ED25519 = 1;
const encoder = new TextEncoder();

export const fromBase64 = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
export const toHex = (bytes) => [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
export const same = (a, b) => a.length === b.length && a.every((one, at) => one === b[at]);

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

async function sha256(bytes) { return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)); }
export const leafHash = (leaf) => sha256(joined(Uint8Array.of(0), leaf));
const nodeHash = (left, right) => sha256(joined(Uint8Array.of(1), left, right));

// RFC 9162 2.1.3.2: the root that a leaf and its path lead to.
export async function rootOf(leaf, index, size, path) {
  if (index >= size) throw new Error("index");
  let place = BigInt(index), last = BigInt(size) - 1n, hash = leaf;
  for (const step of path) {
    if (last === 0n) throw new Error("path too long");
    if ((place & 1n) === 1n || place === last) {
      hash = await nodeHash(step, hash);
      while ((place & 1n) === 0n && place !== 0n) { place >>= 1n; last >>= 1n; }
    } else {
      hash = await nodeHash(hash, step);
    }
    place >>= 1n; last >>= 1n;
  }
  if (last !== 0n) throw new Error("path too short");
  return hash;
}

// RFC 9162 2.1.4.2: whether the tree of `old` leaves is the beginning of the tree of `size` leaves.
export async function grew(old, oldRoot, size, root, path) {
  if (old === size) return path.length === 0 && same(oldRoot, root);
  const steps = [...path];
  let place = BigInt(old) - 1n, last = BigInt(size) - 1n;
  while ((place & 1n) === 1n) { place >>= 1n; last >>= 1n; }
  let first, second;
  if (place === 0n) { first = second = oldRoot; } else { first = second = steps.shift(); }
  if (!first) return false;
  for (const step of steps) {
    if (last === 0n) return false;
    if ((place & 1n) === 1n || place === last) {
      first = await nodeHash(step, first);
      second = await nodeHash(step, second);
      while ((place & 1n) === 0n && place !== 0n) { place >>= 1n; last >>= 1n; }
    } else {
      second = await nodeHash(second, step);
    }
    place >>= 1n; last >>= 1n;
  }
  return last === 0n && same(first, oldRoot) && same(second, root);
}

export function parseProof(text) {
  const cut = text.indexOf("\n\n");
  const lines = text.slice(0, cut).split("\n");
  if (cut < 0 || lines.shift() !== HEADER) throw new Error("proof");
  if (lines[0].startsWith("extra ")) lines.shift();
  const index = Number(/^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift())[1]);
  return { index, path: lines.map(fromBase64), note: text.slice(cut + 2) };
}

export function parseCheckpoint(note) {
  const cut = note.lastIndexOf("\n\n");
  const body = note.slice(0, cut + 1);
  const [origin, size, root] = body.split("\n");
  const signatures = note.slice(cut + 2).split("\n").filter(Boolean).map((line) => {
    const [, name, data] = /^— (\S+) (\S+)$/.exec(line);
    return { name, bytes: fromBase64(data) };
  });
  return { origin, size: Number(size), root: fromBase64(root), body, signatures };
}

// True or false; null where this browser knows no Ed25519.
export async function signedBy(checkpoint, vkey) {
  const [, name, id, data] = /^(\S+)\+([0-9a-f]{8})\+(\S+)$/.exec(vkey);
  const key = fromBase64(data);
  const computed = await sha256(joined(encoder.encode(name + "\n"), key));
  if (toHex(computed.slice(0, 4)) !== id || key[0] !== ED25519 || checkpoint.origin !== name) return false;
  const line = checkpoint.signatures.find((one) => one.name === name && toHex(one.bytes.slice(0, 4)) === id);
  if (!line) return false;
  let known;
  try { known = await crypto.subtle.importKey("raw", key.slice(1), { name: "Ed25519" }, false, ["verify"]); }
  catch { return null; }
  return crypto.subtle.verify({ name: "Ed25519" }, known, line.bytes.slice(4), encoder.encode(checkpoint.body));
}

// The key that this browser saw first for a log. A server that swaps its key later is found out.
export function pinned(origin, vkey) {
  const place = `runxin.vkey.${origin}`;
  try {
    const before = localStorage.getItem(place);
    if (before === null) { localStorage.setItem(place, vkey); return true; }
    return before === vkey;
  } catch { return null; }
}

export function show(place, name, verdict) {
  const mark = place.querySelector(`[data-check=${name}]`);
  const state = verdict === true ? "pass" : verdict === false ? "fail" : "open";
  mark.className = `verdict ${state}`;
  mark.textContent = place.dataset[state];
}
