// Takes the code over from behind `#` and wipes it there, so that it stays neither in the address bar nor in the history.
// Without this script the code is typed.
const field = document.getElementById("code");
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  document.getElementById("taken").textContent = "编码已经填好，请按“继续”。";
}
// An answer is sent once, however often the button is pressed.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
// Going back must not leave a form that cannot be sent.
addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });
