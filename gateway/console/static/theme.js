// Runs before the first paint: the colours that the visitor chose, or those of the system.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const choice = root.dataset.themeChoice;
  root.dataset.bsTheme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
}
paint();
dark.addEventListener("change", paint);
