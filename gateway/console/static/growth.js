// Holds the log's head against the one that this browser remembers from its last look.
import { fromBase64, grew, parseCheckpoint, pinned, show, signedBy, toHex } from "./merkle.js";

const place = document.getElementById("growth");

function remembered(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}

async function head(old) {
  const answer = await fetch(`${place.dataset.head}?old=${old}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error("head");
  return answer.json();
}

async function check() {
  const first = await head(0);
  const origin = parseCheckpoint(first.checkpoint).origin;
  const key = `runxin.head.${origin}`;
  const before = remembered(key);
  const now = before ? await head(before.size) : first;
  const checkpoint = parseCheckpoint(now.checkpoint);
  const signature = await signedBy(checkpoint, now.vkey);
  const known = pinned(origin, now.vkey);
  const growth = before
    ? await grew(before.size, fromBase64(before.root), checkpoint.size, checkpoint.root, now.path.map(fromBase64))
    : null;
  if (signature !== false && known !== false && growth !== false) {
    const root = btoa(String.fromCharCode(...checkpoint.root));
    localStorage.setItem(key, JSON.stringify({ size: checkpoint.size, root, hex: toHex(checkpoint.root) }));
  }
  return { verdicts: { signature, pinned: known, growth }, before, size: checkpoint.size };
}

if (place) {
  const overall = place.querySelector("[data-overall]");
  check().catch(() => ({ verdicts: { signature: false, pinned: null, growth: false }, before: true, size: 0 }))
    .then(({ verdicts, before, size }) => {
      for (const [name, verdict] of Object.entries(verdicts)) show(place, name, verdict);
      const bad = Object.values(verdicts).includes(false);
      const text = bad ? overall.dataset.bad : before ? overall.dataset.good : overall.dataset.first;
      overall.classList.add(bad ? "fail" : "pass");
      overall.textContent = text.replace("…", size.toLocaleString());
    });
}
