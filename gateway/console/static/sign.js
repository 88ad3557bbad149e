// An approver signs in the browser: the private key is read from its file here and never leaves this page.
import { fromBase64, toHex } from "./merkle.js";

const encoder = new TextEncoder();
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const sha256 = async (text) => new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
const DAYS = 7 * 86400;

async function keyOf(file) {
  const pem = await file.text();
  const body = pem.replace(/-----[A-Z ]+-----/g, "").replace(/\s+/g, "");
  const key = await crypto.subtle.importKey("pkcs8", fromBase64(body), { name: "Ed25519" }, true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", key);
  // RFC 7638: the thumbprint of the public half.
  return { key, kid: base64url(await sha256(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`)) };
}

async function statement(form) {
  const subject = form.dataset.subject;
  const digest = toHex(await sha256(subject));
  if (digest !== form.dataset.digest) throw new Error("digest");
  const { key, kid } = await keyOf(form.querySelector("[data-key-file]").files[0]);
  const now = Math.floor(Date.now() / 1000);
  const said = (name) => form.querySelector(`[data-${name}]`).value.trim();
  const claims = {
    iss: said("iss"), org: said("org"), dept: said("dept"), digest, subject: JSON.parse(subject), iat: now, exp: now + DAYS,
  };
  const parts = [{ typ: "approval+jwt", alg: "EdDSA", kid }, claims].map((one) => base64url(encoder.encode(JSON.stringify(one))));
  const signature = await crypto.subtle.sign({ name: "Ed25519" }, key, encoder.encode(parts.join(".")));
  return [...parts, base64url(new Uint8Array(signature))].join(".");
}

for (const form of document.querySelectorAll("form[data-sign]")) {
  form.addEventListener("submit", (event) => {
    if (form.elements.statement.value.trim()) return;
    event.preventDefault();
    statement(form).then((text) => { form.elements.statement.value = text; form.submit(); })
      .catch(() => { form.querySelector("[data-said]").textContent = form.dataset.failed; });
  });
}
