// Tells the server which tab this is: a random number that the tab keeps through a refresh and forgets when it is closed.
const KEY = "agegender-tab";
const told = new WeakSet();

function number() {
  try {
    const known = sessionStorage.getItem(KEY);
    if (/^[0-9a-f]{32}$/.test(known || "")) return known;
    const made = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(KEY, made);
    return made;
  } catch { // a browser that keeps nothing for frames of other sites
    return "none";
  }
}

export default function ({ parentElement, setStateValue }) {
  if (told.has(parentElement)) return;
  told.add(parentElement);
  setStateValue("tab", number());
}
