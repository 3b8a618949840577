// The estimated age as a needle over an axis of years, over the curve of what the model holds possible: before pale, after as a line.
const WIDTH = 520, LEFT = 14, RIGHT = 14, TOP = 12, BASE = 150;
const across = (years) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.min(Math.max(years, 0), 100)) / 100;

function outline(probs, top) {
  return probs.map((value, year) => `${across(year).toFixed(1)},${(BASE - ((BASE - TOP) * value) / top).toFixed(1)}`).join(" ");
}

export default function ({ data, parentElement }) {
  const part = (name) => parentElement.querySelector(name);
  const { before, after } = data;
  part(".now").textContent = data.text;
  part(".was").textContent = data.changed ? `was ${data.was}` : "";
  part("svg").setAttribute("aria-label", data.label);
  const curves = Boolean(before.probs && after.probs);
  const top = curves ? Math.max(...before.probs, ...after.probs) : 1;
  part(".before").setAttribute("points", curves ? `${across(0)},${BASE} ${outline(before.probs, top)} ${across(100)},${BASE}` : "");
  part(".after").setAttribute("points", curves && data.changed ? outline(after.probs, top) : "");
  part(".needle").style.transform = `translateX(${across(after.years)}px)`;
  part(".old").style.transform = `translateX(${across(before.years)}px)`;
  part(".key").hidden = !curves;
  const axis = part(".ticks");
  if (!axis.childElementCount) {
    for (let years = 0; years <= 100; years += 10) {
      const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      text.setAttribute("x", across(years));
      text.setAttribute("y", BASE + 20);
      text.setAttribute("text-anchor", "middle");
      text.textContent = years;
      axis.append(text);
    }
  }
}
