"use strict";
const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
const paper = () => getComputedStyle(document.documentElement).getPropertyValue("--panel").trim();

function reveal(hash) {
  const target = hash.length > 1 ? document.getElementById(hash.slice(1)) : null;
  if (target && target.tagName === "DETAILS") target.open = true;
  if (target) target.scrollIntoView({ block: "start" });
}

function colours() {
  return {
    "font.color": ink(),
    "hoverlabel.bgcolor": paper(),
    "hoverlabel.font.color": ink(),
    "hoverlabel.bordercolor": "#8b95a5",
    "modebar.bgcolor": "rgba(0,0,0,0)",
    "modebar.color": "#8b95a5",
    "modebar.activecolor": ink(),
  };
}

function draw() {
  for (const holder of document.querySelectorAll("[data-figure]")) {
    const figure = JSON.parse(document.getElementById(holder.dataset.figure).textContent);
    Plotly.newPlot(holder, figure.data, figure.layout, {
      responsive: true,
      displaylogo: false,
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    }).then(() => Plotly.relayout(holder, colours()));
    holder.on("plotly_click", (event) => {
      const id = event.points[0].customdata;
      if (typeof id !== "string") return;
      const place = document.getElementById("d-" + id) ? "d-" + id : "r-" + id;
      if (location.hash === "#" + place) reveal("#" + place);
      else location.hash = place;
    });
  }
}

function sortable(table) {
  table.querySelectorAll("th").forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort");
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const difference = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return up ? difference : -difference;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    });
  });
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelector("#filter")?.addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const row of document.querySelectorAll("#designs tbody tr")) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
});
document.querySelector("#copy")?.addEventListener("click", (event) => {
  navigator.clipboard?.writeText(document.querySelector("#command").textContent).then(() => {
    event.target.textContent = "copied";
  });
});
addEventListener("hashchange", () => reveal(location.hash));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const holder of document.querySelectorAll("[data-figure]")) Plotly.relayout(holder, colours());
});
draw();
reveal(location.hash);
