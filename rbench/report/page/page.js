"use strict";
const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (name, text = "", ...children) => {
  const made = document.createElement(name);
  made.textContent = text;
  made.append(...children);
  return made;
};
const escaped = (text) => make("i", text).innerHTML;
const { sheets, panels } = JSON.parse(find("#data").textContent);
const hiddenRuns = new Set();

// Libraries and records are packed: base64 of gzip.
async function unpack(name) {
  const packed = find(`#packed-${name}`);
  const bytes = Uint8Array.from(atob(packed.textContent), (sign) => sign.charCodeAt(0));
  packed.remove();
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
const library = async (name) => URL.createObjectURL(new Blob([await unpack(name)], { type: "text/javascript" }));
const once = (load) => {
  let loaded;
  return () => (loaded ??= load());
};
const tables = once(async () => (await import(await library("tables"))).default);
const records = once(async () => JSON.parse(await unpack("records")));
const plots = once(async () => {
  const script = make("script");
  script.src = await library("plots");
  document.head.append(script);
  await new Promise((done) => script.addEventListener("load", done));
  return window.Plotly;
});

// Tables
async function fill(details) {
  if (details.dataset.filled) return;
  details.dataset.filled = "yes";
  const DataTable = await tables();
  const { columns, rows } = sheets[details.dataset.sheet];
  const link = columns.findIndex((column) => column.title !== "run");
  const status = columns.findIndex((column) => column.title === "status");
  const cell = (column, place) => (row, type) => {
    const [words, number] = row.cells[place];
    if (type === "sort" && column.number) return number ?? Infinity;
    if (type !== "display") return words;
    return place === link ? `<button type="button" class="open">${escaped(words)}</button>` : escaped(words);
  };
  const heads = make("tr", "", ...columns.map((column) => make("th", column.title)));
  find("table", details).append(make("thead", "", heads));
  const table = new DataTable(find("table", details), {
    data: rows, deferRender: true, autoWidth: false, order: [], ordering: { indicators: false }, pageLength: 25,
    lengthMenu: [10, 25, 50, 100, { label: "all", value: -1 }],
    layout: { topStart: "search", topEnd: { buttons: [{ extend: "colvis", text: "columns" }] }, bottomStart: ["pageLength", "info"] },
    columns: columns.map((column, place) => ({
      visible: column.shown, type: column.number ? "num" : "string",
      className: column.number ? "number" : "", data: null, render: cell(column, place),
      columnControl: ["order", [column.number ? "searchNumber" : "searchText"]],
    })),
    createdRow: (line, row) => line.classList.toggle("failed", row.cells[status][0] !== "ok"),
  });
  table.search.fixed("run", (words, row) => !hiddenRuns.has(row.run));
  table.on("click", "tbody tr", (event) => {
    const row = table.row(event.currentTarget).data();
    if (row && !String(window.getSelection())) open(row.records);
  });
  details.redraw = () => table.draw();
}

// The record of a row
const shown = (value) => (value === null || value === undefined ? "–" : String(value));
function written(value) {
  if (Array.isArray(value) && value.length && value.every((one) => one && typeof one === "object" && !Array.isArray(one))) {
    const names = [...new Set(value.flatMap(Object.keys))].filter((name) => value.some((one) => one[name] !== null));
    const head = make("tr", "", ...names.map((name) => make("th", name)));
    return make("table", "", head, ...value.map((one) => make("tr", "", ...names.map((name) => make("td", "", written(one[name]))))));
  }
  if (Array.isArray(value)) return document.createTextNode(value.map(shown).join(", ") || "–");
  if (value && typeof value === "object") {
    const rows = Object.entries(value).map(([name, one]) => make("tr", "", make("th", name), make("td", "", written(one))));
    return rows.length ? make("table", "", ...rows) : document.createTextNode("–");
  }
  return document.createTextNode(shown(value));
}
function part(name, value, isOpen) {
  const frame = make("div", "", written(value));
  frame.className = "frame";
  const made = make("details", "", make("summary", name), frame);
  made.open = isOpen;
  return made;
}
async function show(place) {
  const { records: known, shared } = await records();
  const { title, run, command, cell, status, reason, figures, history, memory_status, memory_reason, started, attachment, ...others } = known[place];
  const copy = make("button", "copy");
  copy.type = "button";
  copy.addEventListener("click", () => navigator.clipboard.writeText(command).then(() => (copy.textContent = "copied")));
  find("#record-title").textContent = title;
  find("#record-body").replaceChildren(
    make("p", reason ? `${status}: ${reason}` : status), make("strong", "To repeat this cell "), copy, make("pre", command),
    part("Figures", figures, true), part(`Evaluations (${history.length})`, history, history.length > 0),
    part("Settings", cell, true), part("Run", { run, started, memory_status, memory_reason, ...attachment }, false),
    ...Object.entries(others).map(([name, index]) => part(name, shared[index], false)),
  );
}
async function open(places) {
  const { records: known } = await records();
  const choice = find("#record-choice");
  const buttons = places.map((place) => {
    const { cell, status } = known[place];
    const button = make("button", `${cell.seed === undefined ? "record" : `seed ${cell.seed}`}${status === "ok" ? "" : `: ${status}`}`);
    button.type = "button";
    button.className = "switch";
    button.addEventListener("click", () => {
      buttons.forEach((one) => one.setAttribute("aria-pressed", one === button));
      show(place);
    });
    return button;
  });
  choice.replaceChildren(...(buttons.length > 1 ? buttons : []));
  buttons[0].setAttribute("aria-pressed", "true");
  await show(places[0]);
  find("#record").showModal();
  find("#record").scrollTop = 0;
}
find("#close").addEventListener("click", () => find("#record").close());
find("#record").addEventListener("click", (event) => event.target.id === "record" && event.target.close());

// Plots
const picture = (figure) => figure.closest(".picture");
const hiddenLabels = (figure) => new Set(all(".entry[aria-pressed=false]", picture(figure)).map((one) => one.dataset.label));
const colors = () => {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
};
const INK = "#000000";
const inInk = (value, ink) => JSON.parse(JSON.stringify(value), (key, one) => (one === INK ? ink : one));
async function draw(figure) {
  const Plotly = await plots();
  const { data, layout } = panels[figure.dataset.panel];
  const hidden = hiddenLabels(figure);
  const color = colors();
  const isOn = ({ meta }) => !hiddenRuns.has(meta.run) && !hidden.has(meta.label);
  figure.classList.toggle("off", data.every(({ meta }) => hiddenRuns.has(meta.run)));
  const axis = (own) => ({ ...own, gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line") });
  const traces = inInk(data, color("ink")).map((trace) => ({ ...trace, visible: isOn(trace) }));
  const plot = find(".plot", figure);
  if (figure.dataset.rows) plot.style.height = `${90 + 30 * figure.dataset.rows}px`;
  await Plotly.react(plot, traces, {
    xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis), showlegend: false, barmode: "stack", hovermode: "closest",
    margin: { l: 50, r: 12, t: 8, b: 44 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: color("ink") },
    hoverlabel: { bgcolor: color("panel"), bordercolor: color("line"), font: { color: color("ink") } },
    modebar: { color: color("faint"), activecolor: color("accent"), bgcolor: "rgba(0,0,0,0)" },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  }, { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] });
  figure.dataset.drawn = "yes";
}
const redraw = (within) => all("figure[data-drawn]", within).forEach(draw);
const canSwitch = (axis) => axis.type !== "category" && !axis.tickvals;
for (const button of all("[data-axis]")) {
  const axes = () => all("figure", picture(button)).map((figure) => panels[figure.dataset.panel].layout[`${button.dataset.axis}axis`]).filter(canSwitch);
  const tell = () => {
    const logs = axes().filter((axis) => axis.type === "log").length;
    button.setAttribute("aria-pressed", logs === axes().length ? "true" : logs ? "mixed" : "false");
  };
  button.addEventListener("click", () => {
    const type = button.getAttribute("aria-pressed") === "true" ? "linear" : "log";
    axes().forEach((axis) => (axis.type = type));
    tell();
    redraw(picture(button));
  });
  tell();
}

// Switches
const toggle = (button) => button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
for (const button of all(".entry")) {
  button.addEventListener("click", () => {
    toggle(button);
    redraw(picture(button));
  });
}
for (const button of all("[data-run]")) {
  button.addEventListener("click", () => {
    toggle(button);
    const run = Number(button.dataset.run);
    if (!hiddenRuns.delete(run)) hiddenRuns.add(run);
    all("details.sheet").forEach((details) => details.redraw?.());
    redraw(document);
  });
}
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = (isDark) => {
  root.dataset.theme = isDark ? "dark" : "light";
  root.classList.toggle("dark", isDark); // for DataTables
  redraw(document);
};
theme(dark.matches);
dark.addEventListener("change", () => theme(dark.matches));
find("#theme").addEventListener("click", () => theme(root.dataset.theme === "light"));

for (const details of all("details.sheet")) {
  details.addEventListener("toggle", () => details.open && fill(details));
  if (details.open) fill(details);
}
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      seen.unobserve(target);
      draw(target);
    }
  }
}, { rootMargin: "300px" });
all("figure[data-panel]").forEach((figure) => seen.observe(figure));
