// Opens one sealed line in this browser (keys/envelope.py): the source's signature first, then HPKE (RFC 9180, base mode, X25519,
// HKDF-SHA256, AES-256-GCM) with the organisation's key, which is read from its file here and never leaves this page.
import { fromBase64, same } from "./merkle.js";

const encoder = new TextEncoder();
const bytes = (text) => encoder.encode(text);
const decoded = (text) => fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
const joined = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data));

// Restricted JSON of this gateway: keys in order, nothing but text and whole numbers below them.
const canonical = (value) => JSON.stringify(value, value && Object.keys(value).sort());

async function hmac(key, data) {
  const known = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", known, data));
}
// One block of HKDF-Expand: everything here is 32 bytes or less.
const expand = async (key, info, length) => (await hmac(key, joined(info, [1]))).slice(0, length);

async function decrypted(key, nonce, data, additional) {
  const known = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce, additionalData: additional }, known, data));
}

async function secretOf(file) {
  const { suite, secret } = JSON.parse(await file.text());
  if (suite !== "x25519") throw new Error("suite");
  const head = fromBase64("MC4CAQAwBQYDK2VuBCIEIA=="); // PKCS #8 of a raw X25519 key
  return crypto.subtle.importKey("pkcs8", joined(head, fromBase64(secret)), { name: "X25519" }, true, ["deriveBits"]);
}

async function contentKey(secret, encapsulation, info) {
  const [enc, sealed] = [encapsulation.slice(0, 32), encapsulation.slice(32)];
  const own = decoded((await crypto.subtle.exportKey("jwk", secret)).x);
  const other = await crypto.subtle.importKey("raw", enc, { name: "X25519" }, true, []);
  const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: other }, secret, 256));
  const kem = joined(bytes("KEM"), [0, 0x20]);
  const suite = joined(bytes("HPKE"), [0, 0x20, 0, 1, 0, 2]);
  const extract = (id, salt, label, data) => hmac(salt, joined(bytes("HPKE-v1"), id, bytes(label), data));
  const labelled = (id, key, label, data, length) => expand(key, joined([0, length], bytes("HPKE-v1"), id, bytes(label), data), length);
  const none = new Uint8Array(32); // an empty salt: HMAC fills its key with zeros
  const agreed = await labelled(kem, await extract(kem, none, "eae_prk", shared), "shared_secret", joined(enc, own), 32);
  const context = joined([0], await extract(suite, none, "psk_id_hash", []), await extract(suite, none, "info_hash", info));
  const base = await extract(suite, agreed, "secret", []);
  const [key, nonce] = [await labelled(suite, base, "key", context, 32), await labelled(suite, base, "base_nonce", context, 12)];
  return decrypted(key, nonce, sealed, new Uint8Array());
}

async function opened(place, file) {
  const line = JSON.parse(place.dataset.line), sealing = line.seal;
  const { exchange, recipient, recipient_kid, request, sender, suite } = sealing;
  if (sender !== place.dataset.source || recipient !== place.dataset.recipient || exchange !== "reidentification") throw new Error("info");
  const info = canonical({ exchange, line: sealing.line, recipient, recipient_kid, request, sender, suite });
  const frame = `{"digests":${canonical(sealing.digests)},"enc":${JSON.stringify(sealing.enc)},"info":${JSON.stringify(info)}}`;
  const known = await crypto.subtle.importKey("raw", decoded(place.dataset.sender), { name: "Ed25519" }, false, ["verify"]);
  if (!await crypto.subtle.verify({ name: "Ed25519" }, known, decoded(sealing.signature), bytes(`runxin-line-1\n${frame}`))) throw new Error("signature");
  const content = await contentKey(await secretOf(file), decoded(sealing.enc), bytes(info));
  const values = {};
  for (const [name, cell] of Object.entries(line.fields)) {
    const sealed = decoded(cell.c);
    if (!same(await sha256(sealed), decoded(sealing.digests[name]))) throw new Error("digest");
    const key = await expand(content, bytes(`runxin-field-1|${name}`), 32);
    const padded = await decrypted(key, new Uint8Array(12), sealed, bytes(info));
    values[name] = JSON.parse(new TextDecoder().decode(padded.slice(0, padded.lastIndexOf(0x80))));
  }
  return values;
}

const place = document.getElementById("opening");
place?.querySelector("[data-sealing]")?.addEventListener("change", async (event) => {
  const [said, list] = [place.querySelector("[data-said]"), place.querySelector("[data-values]")];
  list.replaceChildren();
  try {
    for (const [name, value] of Object.entries(await opened(place, event.target.files[0]))) {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, text.textContent] = [name, String(value)];
      list.append(term, text);
    }
    said.textContent = place.dataset.opened;
  } catch {
    said.textContent = place.dataset.failed;
  }
});
