// Checks one entry's proof in this browser: bytes to leaf, leaf to root, root under the log's signature.
import { fromBase64, leafHash, parseCheckpoint, parseProof, pinned, rootOf, same, show, signedBy } from "./merkle.js";

const place = document.getElementById("proof");

async function check() {
  const answer = await (await fetch(place.dataset.proof, { credentials: "same-origin" })).json();
  const leafBytes = fromBase64(answer.leaf);
  const proof = parseProof(answer.proof);
  const checkpoint = parseCheckpoint(proof.note);
  place.querySelector("[data-text]").textContent = answer.proof;
  const shown = document.querySelector("pre").textContent;
  const right = proof.index === Number(place.dataset.index) && same(new TextEncoder().encode(shown), leafBytes);
  const root = await rootOf(await leafHash(leafBytes), proof.index, checkpoint.size, proof.path).catch(() => new Uint8Array());
  return {
    leaf: right,
    path: same(root, checkpoint.root),
    signature: await signedBy(checkpoint, answer.vkey),
    pinned: pinned(checkpoint.origin, answer.vkey),
  };
}

if (place) {
  const overall = place.querySelector("[data-overall]");
  check().catch(() => ({ leaf: false, path: false, signature: false, pinned: null })).then((verdicts) => {
    for (const [name, verdict] of Object.entries(verdicts)) show(place, name, verdict);
    const values = Object.values(verdicts);
    const state = values.includes(false) ? "bad" : values.includes(null) ? "part" : "good";
    overall.classList.add(state === "good" ? "pass" : state === "bad" ? "fail" : "part");
    overall.textContent = overall.dataset[state];
  });
}
