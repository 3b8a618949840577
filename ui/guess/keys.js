// One plays with arrows and Enter alone: the slider has the focus when a face appears, Enter on it guesses, and then the button for the
// next face has the focus. Streamlit's own shortcuts would take Enter away from every other control of the page.
const LAG = 300; // milliseconds that Streamlit waits before it sends where a slider is
let shown = null, moved = 0, waiting = null;

function place(selector, tries, then) {
  const found = document.querySelector(selector);
  if (found) then(found);
  else if (tries) waiting = setTimeout(() => place(selector, tries - 1, then), 50);
}

function onKey(event) {
  if (event.key !== "Enter") { moved = Date.now(); return; }
  event.preventDefault();
  const guess = () => document.querySelector(".st-key-guess-now button")?.click();
  setTimeout(guess, Math.max(0, moved + LAG - Date.now()));
}

export default function ({ data }) {
  if (data.version === shown) return;
  const first = shown === null;
  shown = data.version;
  clearTimeout(waiting);
  if (data.guessed) {
    if (!first) place(".st-key-guess-next button", 40, (button) => button.focus({ preventScroll: true }));
    return;
  }
  place(`.st-key-${data.slider} input`, 40, (slider) => {
    slider.addEventListener("keydown", onKey);
    slider.focus({ preventScroll: true });
  });
}
