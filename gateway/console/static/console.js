// Small conveniences. Every page works without them.

// On a narrow screen the menu begins closed.
const menu = document.querySelector(".side-menu");
if (menu && matchMedia("(max-width: 900px)").matches) menu.open = false;

// Keyboard triage: j and k walk through rows that lead somewhere, Enter follows, / goes to the first filter.
const rows = () => [...document.querySelectorAll("a.row-link")];
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const links = rows();
  const at = links.indexOf(document.activeElement);
  if (event.key === "j" && links.length) links[Math.min(at + 1, links.length - 1)].focus();
  else if (event.key === "k" && links.length) links[Math.max(at - 1, 0)].focus();
  else if (/^[a-z]$/.test(event.key) && document.querySelector(`[data-key="${event.key}"]`)) {
    const wanted = document.querySelector(`[data-key="${event.key}"]`);
    event.preventDefault();
    if (wanted.matches("a")) wanted.click(); else wanted.focus();
  } else if (event.key === "/") {
    const first = document.querySelector("main form select, main form input:not([type=hidden])");
    if (first) { event.preventDefault(); first.focus(); }
  }
});

// A table whose rows are all here is sorted by its heads; numbers as numbers, words as their language has them.
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const said = (row) => row.cells[at] ? row.cells[at].textContent.trim() : "";
      const order = (a, b) => said(a).localeCompare(said(b), document.documentElement.lang, { numeric: true });
      const last = body.querySelector("#more");
      body.append(...[...body.rows].filter((row) => row !== last).sort((a, b) => down ? order(b, a) : order(a, b)));
      if (last) body.append(last);
    });
  });
}

// A button that would be refused says why to whoever presses it.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[aria-disabled=true]");
  if (!button) return;
  event.preventDefault();
  const why = document.getElementById(button.getAttribute("aria-describedby"));
  if (why) why.classList.add("why-shown");
});
