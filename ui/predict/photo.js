// The image with a button over the box of each face. Sends { face: number } where the server has to put that face's card on the page.
const photos = new WeakMap();
const PATIENCE = 15000, SETTLE = 1500; // milliseconds for the card to come, and to stay

function open(number) {
  const deadline = performance.now() + PATIENCE;
  let shown = 0; // when the card was first there: Streamlit may draw it again for a while, and the focus with it
  const look = () => {
    const card = document.querySelector(`.st-key-face-${number}`), now = performance.now();
    if (card && !shown) {
      shown = now;
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const { top } = card.getBoundingClientRect();
      if (top < 56 || top > innerHeight - 240) card.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
      document.activeElement?.blur();
    }
    if (card && document.activeElement === document.body) {
      card.tabIndex = -1;
      card.focus({ preventScroll: true });
    }
    if (shown ? now < shown + SETTLE : now < deadline) setTimeout(look, 50);
  };
  look();
}

function button(photo, box) {
  const made = document.createElement("button");
  const share = (value) => `${100 * value}%`;
  const [left, top, width, height] = box.place;
  made.type = "button";
  made.title = box.label;
  made.setAttribute("aria-label", box.label);
  // Small faces lie over large ones.
  Object.assign(made.style, { left: share(left), top: share(top), width: share(width), height: share(height), zIndex: 1 + Math.round(1000 * (1 - width * height)) });
  made.addEventListener("click", () => {
    if (photo.data.choose) photo.send("face", box.number);
    open(box.number);
  });
  return made;
}

function make(root) {
  const image = document.createElement("img");
  const photo = { image, data: {}, send: () => {}, drawn: "" };
  image.addEventListener("load", () => root.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight));
  root.append(image);
  // A crowd is one stop of the Tab key; arrows go from face to face.
  root.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const all = [...root.querySelectorAll("button")], from = all.indexOf(document.activeElement);
    if (!way || from < 0) return;
    const next = all[Math.min(Math.max(from + way, 0), all.length - 1)];
    if (photo.data.choose) all.forEach((one) => { one.tabIndex = one === next ? 0 : -1; });
    next.focus();
    event.preventDefault();
  });
  return photo;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".ag-photo");
  if (!photos.has(root)) photos.set(root, make(root));
  const photo = photos.get(root);
  photo.send = setTriggerValue;
  photo.data = data;
  if (photo.image.src !== data.src) photo.image.src = data.src;
  photo.image.alt = data.alt;
  const wanted = JSON.stringify([data.boxes, data.choose]);
  if (photo.drawn === wanted) return;
  photo.drawn = wanted;
  root.querySelectorAll("button").forEach((one) => one.remove());
  data.boxes.forEach((box, index) => {
    const made = button(photo, box);
    if (data.choose && index) made.tabIndex = -1;
    root.append(made);
  });
}
