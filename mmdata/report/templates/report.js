"use strict";
// Maps: the point under the pointer, or the one that the arrow keys reached, is shown beside the map.
for (const map of document.querySelectorAll("svg.map")) {
  const box = map.closest(".mapped");
  const panel = box.querySelector(".met");
  const told = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const points = [...map.querySelectorAll("circle")];
  let now = -1;
  const show = (at) => {
    if (at < 0 || at === now) return;
    if (now >= 0) points[now].classList.remove("on");
    now = at;
    const point = points[at];
    point.classList.add("on");
    const one = told[Number(point.dataset.i)];
    panel.replaceChildren();
    if (one.image) {
      const image = document.createElement("img");
      image.src = one.image;
      image.alt = "";
      panel.append(image);
    }
    for (const [kind, text] of [["key mono", one.key], ["about", one.label], ["text", one.text]]) {
      if (!text) continue;
      const line = document.createElement("p");
      line.className = kind;
      line.textContent = text;
      panel.append(line);
    }
  };
  const nearest = (x, y, ahead) => {
    let best = -1, least = Infinity;
    points.forEach((point, at) => {
      const dx = point.cx.baseVal.value - x, dy = point.cy.baseVal.value - y;
      const far = ahead ? ahead(dx, dy) : dx * dx + dy * dy;
      if (far < least) { least = far; best = at; }
    });
    return best;
  };
  map.addEventListener("pointermove", (event) => {
    const size = map.getBoundingClientRect(), scale = map.viewBox.baseVal.width / size.width;
    show(nearest((event.clientX - size.left) * scale, (event.clientY - size.top) * scale));
  });
  map.tabIndex = 0;
  map.setAttribute("role", "application");
  map.setAttribute("aria-describedby", box.querySelector(".hint").id);
  map.addEventListener("focus", () => { if (now < 0) show(0); });
  map.addEventListener("keydown", (event) => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!way || now < 0) return;
    event.preventDefault();
    const from = points[now];
    show(nearest(from.cx.baseVal.value, from.cy.baseVal.value, (dx, dy) => {
      const along = dx * way[0] + dy * way[1], across = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      return along > 0.5 && across <= 2 * along ? along + 2 * across : Infinity;
    }));
  });
}
// One sound at a time.
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);
