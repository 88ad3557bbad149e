// Takes the code over from behind `#` and wipes it there, so that it stays neither in the address bar nor in the history.
// Without this script the code is typed.
const field = document.getElementById("code");
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  const taken = document.getElementById("taken");
  taken.textContent = taken.dataset.taken;
}
// The other language takes a code along that was typed already, behind `#` again.
const tongue = document.getElementById("tongue");
if (tongue && field) tongue.addEventListener("click", () => { if (field.value) tongue.hash = field.value; });
// An answer is sent once, however often the button is pressed.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
// Going back must not leave a form that cannot be sent.
addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });
