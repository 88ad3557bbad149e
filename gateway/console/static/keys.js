// Hands our challenge to a security key and its answer back to the form. Which host it is for, the browser decides.
async function options(address) {
  const answer = await fetch(address, { method: "POST", credentials: "same-origin" });
  if (!answer.ok) throw new Error("options");
  return answer.json();
}

async function asked(place, form, work) {
  try {
    form.elements.answer.value = JSON.stringify((await work()).toJSON());
    form.submit();
  } catch {
    document.getElementById("key-said").textContent = place.dataset.failed;
  }
}

const added = document.getElementById("new-key");
if (added) added.addEventListener("submit", (event) => {
  event.preventDefault();
  asked(added, added, async () => navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(await options(added.dataset.options)),
  }));
});

const button = document.getElementById("with-key");
if (button) button.addEventListener("click", () => {
  const form = button.form;
  if (!form.reportValidity()) return;
  asked(button, form, async () => navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(await options(button.dataset.options)),
  }));
});
