// The face with a patch to move and a brush to paint with. Sends { patch: [left, top, side] or null, bits: base64 } in crop pixels.
const pads = new WeakMap();
const PAUSE = 100; // milliseconds between two messages while the pointer moves

function encode(cells) {
  const bytes = new Uint8Array(Math.ceil(cells.length / 8));
  cells.forEach((on, index) => { if (on) bytes[index >> 3] |= 128 >> (index & 7); });
  return btoa(String.fromCharCode(...bytes));
}

function decode(bits, count) {
  const bytes = Uint8Array.from(atob(bits || ""), (letter) => letter.charCodeAt(0));
  return Uint8Array.from({ length: count }, (_, index) => ((bytes[index >> 3] || 0) >> (7 - (index & 7))) & 1);
}

function make(parent) {
  const root = parent.querySelector(".pad");
  const stage = root.querySelector(".stage"), canvas = root.querySelector("canvas"), box = root.querySelector(".patch");
  const slider = root.querySelector("input"), reading = root.querySelector(".reading");
  const pad = { size: 32, side: 8, patch: null, cells: new Uint8Array(1024), tool: "patch", version: null, set: () => {}, last: 0 };

  pad.draw = () => {
    const { size, cells, patch } = pad;
    canvas.width = canvas.height = size;
    const brush = canvas.getContext("2d");
    brush.fillStyle = "rgb(128, 128, 128)";
    cells.forEach((on, index) => { if (on) brush.fillRect(index % size, Math.floor(index / size), 1, 1); });
    box.hidden = !patch;
    if (patch) {
      brush.fillRect(patch[0], patch[1], patch[2], patch[2]);
      const share = (value) => `${(100 * value) / size}%`;
      Object.assign(box.style, { left: share(patch[0]), top: share(patch[1]), width: share(patch[2]), height: share(patch[2]) });
    }
    slider.max = Math.floor((size * 3) / 4);
    slider.value = pad.side;
    reading.textContent = `${pad.side} px`;
    root.querySelectorAll("[data-tool]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.tool === pad.tool));
  };

  const send = () => {
    pad.last = performance.now();
    pad.set("cover", { patch: pad.patch, bits: pad.cells.some(Boolean) ? encode(pad.cells) : "" });
  };
  pad.changed = () => {
    pad.draw();
    clearTimeout(pad.timer);
    pad.timer = setTimeout(send, Math.max(0, PAUSE - (performance.now() - pad.last)));
  };

  const clamp = (value, side) => Math.min(Math.max(value, 0), pad.size - side);
  const move = (left, top) => { pad.patch = [clamp(left, pad.side), clamp(top, pad.side), pad.side]; pad.changed(); };
  const resize = (side) => {
    pad.side = Math.min(Math.max(side, 1), Math.floor((pad.size * 3) / 4));
    if (!pad.patch) { pad.draw(); return; }
    const middle = pad.patch.slice(0, 2).map((value) => value + pad.patch[2] / 2);
    move(Math.round(middle[0] - pad.side / 2), Math.round(middle[1] - pad.side / 2));
  };
  const paint = (x, y, on) => {
    if (!on && pad.patch) { // wiping takes from the patch too
      const [left, top, side] = pad.patch;
      pad.cells.forEach((_, index) => {
        const column = index % pad.size, row = Math.floor(index / pad.size);
        if (column >= left && column < left + side && row >= top && row < top + side) pad.cells[index] = 1;
      });
      pad.patch = null;
    }
    const wide = Math.max(1, Math.round(pad.side / 2)), left = Math.round(x - wide / 2), top = Math.round(y - wide / 2);
    for (let row = Math.max(top, 0); row < Math.min(top + wide, pad.size); row++) {
      for (let column = Math.max(left, 0); column < Math.min(left + wide, pad.size); column++) {
        pad.cells[row * pad.size + column] = on ? 1 : 0;
      }
    }
    pad.changed();
  };
  const act = (event) => {
    const area = stage.getBoundingClientRect();
    const x = ((event.clientX - area.left) / area.width) * pad.size, y = ((event.clientY - area.top) / area.height) * pad.size;
    if (pad.tool === "patch") move(Math.round(x - pad.side / 2), Math.round(y - pad.side / 2));
    else paint(x, y, pad.tool === "brush");
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); act(event); });
  stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) act(event); });
  stage.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const middle = Math.round((pad.size - pad.side) / 2), step = event.shiftKey ? 4 : 1;
      const from = pad.patch || [middle, middle];
      move(from[0] + (pad.patch ? way[0] * step : 0), from[1] + (pad.patch ? way[1] * step : 0));
    } else if (event.key === "+" || event.key === "=") resize(pad.side + 1);
    else if (event.key === "-") resize(pad.side - 1);
    else if (event.key === "Delete" || event.key === "Backspace") pad.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  pad.reset = () => { pad.patch = null; pad.cells.fill(0); pad.changed(); };
  slider.addEventListener("input", () => resize(Number(slider.value)));
  root.querySelectorAll("[data-tool]").forEach((button) => {
    button.addEventListener("click", () => { pad.tool = button.dataset.tool; pad.draw(); });
  });
  root.querySelector("[data-reset]").addEventListener("click", pad.reset);
  return pad;
}

export default function ({ data, parentElement, setStateValue }) {
  if (!pads.has(parentElement)) pads.set(parentElement, make(parentElement));
  const pad = pads.get(parentElement);
  pad.set = setStateValue;
  const image = parentElement.querySelector("img");
  if (image.src !== data.face) image.src = data.face;
  image.alt = data.alt;
  if (pad.version !== data.version) { // the server's word: a new face, a patch that was found, a link
    clearTimeout(pad.timer);
    pad.version = data.version;
    pad.size = data.size;
    pad.cells = decode(data.bits, data.size * data.size);
    pad.patch = data.patch;
    pad.side = data.patch ? data.patch[2] : data.side;
    pad.draw();
  }
  return () => clearTimeout(pad.timer);
}
