// An approver signs in the browser: with a security key over the digest of what is approved, or with the own key, which is read
// from its file here and never leaves this page.
import { fromBase64, toHex } from "./merkle.js";

const encoder = new TextEncoder();
const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const fromBase64url = (text) => fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
const sha256 = async (text) => new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
const joined = (...parts) => parts.map((one) => base64url(encoder.encode(JSON.stringify(one)))).join(".");
const DAY = 86400;

async function keyOf(file) {
  const pem = await file.text();
  const body = pem.replace(/-----[A-Z ]+-----/g, "").replace(/\s+/g, "");
  const key = await crypto.subtle.importKey("pkcs8", fromBase64(body), { name: "Ed25519" }, true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", key);
  // RFC 7638: the thumbprint of the public half.
  return { key, kid: base64url(await sha256(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`)) };
}

async function claims(form, iss, org, dept) {
  const subject = form.dataset.subject;
  const digest = toHex(await sha256(subject));
  if (digest !== form.dataset.digest) throw new Error("digest");
  const now = Math.floor(Date.now() / 1000);
  return { iss, org, dept, digest, subject: JSON.parse(subject), iat: now, exp: now + Number(form.dataset.days) * DAY };
}

async function statement(form) {
  const { key, kid } = await keyOf(form.querySelector("[data-key-file]").files[0]);
  const said = (name) => form.querySelector(`[data-${name}]`).value.trim();
  const signed = joined({ typ: form.dataset.typ, alg: "EdDSA", kid }, await claims(form, said("iss"), said("org"), said("dept")));
  return `${signed}.${base64url(await crypto.subtle.sign({ name: "Ed25519" }, key, encoder.encode(signed)))}`;
}

async function asserted(form, { kid, credential, host, signer, of, for: dept }) {
  const signed = joined({ typ: "approval+webauthn", alg: "webauthn", kid }, await claims(form, signer, of, dept));
  const { response } = await navigator.credentials.get({ publicKey: {
    challenge: await sha256(signed),
    rpId: host,
    allowCredentials: [{ type: "public-key", id: fromBase64url(credential) }],
    userVerification: "required",
    timeout: 120000,
  } });
  const [authenticatorData, clientDataJSON, signature] = [response.authenticatorData, response.clientDataJSON, response.signature].map(base64url);
  return `${signed}.${joined({ authenticatorData, clientDataJSON, signature })}`;
}

function handIn(form, made, failed) {
  made.then((text) => { form.elements.statement.value = text; form.submit(); })
    .catch(() => { form.querySelector("[data-said]").textContent = failed; });
}

for (const form of document.querySelectorAll("form[data-sign]")) {
  form.addEventListener("submit", (event) => {
    if (form.elements.statement.value.trim()) return;
    event.preventDefault();
    handIn(form, statement(form), form.dataset.failed);
  });
  for (const button of form.querySelectorAll("[data-kid]")) {
    button.addEventListener("click", () => handIn(form, asserted(form, button.dataset), form.dataset.unanswered));
  }
}
