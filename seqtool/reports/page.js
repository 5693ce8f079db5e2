"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const add = (parent, name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  parent.appendChild(made);
  return made;
};
const draw = (parent, name, attributes, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
};
const colour = (place) => `c${place % 10}`;

// A table; the first cell of a row names it.
const tabled = (place, heads, rows) => {
  const table = add(place, "table"), names = add(add(table, "thead"), "tr"), body = add(table, "tbody");
  for (const head of heads) add(names, "th", head);
  for (const cells of rows) { const row = add(body, "tr"); cells.forEach((cell, n) => add(row, n ? "td" : "th", cell)); }
  return table;
};

// A table of coloured cells: `share(row, column)` from -1 (blue) to 1 (orange), `tell(row, column)` what a cell is, and
// `counts`, where there are any, what is written into it.
const heat = (place, title, rows, columns, share, tell, counts = []) => {
  const table = add(place, "table", undefined, "heat"), names = (add(table, "caption", title), add(add(table, "thead"), "tr")), body = add(table, "tbody");
  add(names, "td");
  for (const column of columns) add(add(names, "th"), "bdi", column);
  rows.forEach((name, row) => {
    const line = add(body, "tr");
    add(add(line, "th"), "bdi", name);
    columns.forEach((_, column) => {
      const cell = add(line, "td", counts.length ? counts[row][column].toLocaleString("en") : undefined), value = share(row, column);
      cell.style.backgroundColor = `rgba(var(--${value < 0 ? "cold" : "look"}), ${Math.min(1, Math.abs(value)).toFixed(3)})`;
      cell.title = tell(row, column);
    });
  });
  return table;
};

// Numbers
const number = (value, digits = 4) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : value.toFixed(size >= 100 ? 1 : digits);
};
// One unit for the times of a column, by the longest: its name, and the times as text.
const timed = (values) => {
  const longest = Math.max(0, ...values.filter((value) => value !== null && value !== undefined));
  const [unit, size, digits] = longest < 600 ? ["s", 1, 1] : longest < 7200 ? ["min", 60, 1] : ["h", 3600, 2];
  return { unit, texts: values.map((value) => value === null || value === undefined ? "\u2013" : (value / size).toFixed(digits)) };
};
const seconds = (value) => value === null || value === undefined ? "\u2013" : value < 120 ? `${number(value, 1)} s` : value < 7200 ? `${(value / 60).toFixed(1)} min` : `${(value / 3600).toFixed(2)} h`;
const short = (value) => {
  const size = Math.abs(value);
  if (size >= 1e9) return `${+(value / 1e9).toPrecision(4)}G`;
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(4)}k`;
  return size && size < 1e-3 ? value.toExponential(0) : String(+value.toPrecision(4));
};

// Charts: lines over a common axis, a cursor that tells the values, by pointer or by arrow keys.
const ticks = (low, high, count, logarithmic) => {
  const made = [];
  if (logarithmic) {
    const factors = high / low > 1e3 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= low && value <= high) made.push(value);
      }
    const every = Math.ceil(made.length / (count + 2));
    if (made.length >= 2) return made.filter((_, place) => place % every === 0);
    made.length = 0;
  }
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) made.push(Math.abs(value) < step * 1e-6 ? 0 : +value.toPrecision(12));
  return made;
};
const charts = [];
const chart = (place, title, about) => {
  const box = add(place, "div");
  add(box, "h3", title);
  const keys = add(box, "div", undefined, "legend"), frame = add(box, "div", undefined, "chart"), readout = add(box, "div", undefined, "readout");
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", `${title}: arrow keys move a cursor, whose values are told below`);
  readout.setAttribute("role", "status");
  const own = { keys, frame, readout, about, at: null, xs: [] };
  charts.push(own);
  const move = (x) => { own.at = x; cursor(own); };
  frame.addEventListener("pointermove", (event) => {
    if (!own.scale || !own.xs.length) return;
    const x = own.scale.back(event.clientX - frame.getBoundingClientRect().left);
    move(own.xs.reduce((best, one) => Math.abs(one - x) < Math.abs(best - x) ? one : best));
  });
  frame.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !own.xs.length) return;
    event.preventDefault();
    const by = steps[event.key], now = own.at === null ? (by > 0 ? -1 : own.xs.length) : own.xs.indexOf(own.at);
    move(own.xs[Math.max(0, Math.min(own.xs.length - 1, now + by))]);
  });
  return own;
};
const nearest = (line, x) => {
  let found = -1;
  for (let n = 0; n < line.x.length; n++)
    if (line.y[n] !== null && line.x[n] !== null && (found < 0 || Math.abs(line.x[n] - x) < Math.abs(line.x[found] - x))) found = n;
  return found;
};
const cursor = (own) => {
  own.svg.querySelector(".cursor")?.remove();
  own.readout.replaceChildren();
  if (own.at === null) return;
  const x = own.scale.x(own.at);
  draw(own.svg, "line", { class: "cursor", x1: x, x2: x, y1: own.scale.top, y2: own.scale.bottom });
  add(own.readout, "span", own.about.tellX(own.at));
  for (const line of own.lines) {
    if (!line.name) continue;
    const n = line.level === undefined ? nearest(line, own.at) : -1;
    if (line.level === undefined && n < 0) continue;
    const told = add(own.readout, "span");
    add(told, "i", undefined, `swatch ${line.colour}`);
    const where = n < 0 || line.x[n] === own.at ? "" : ` (${own.about.tellX(line.x[n])})`;
    told.append(`${line.name} ${number(n < 0 ? line.level : line.y[n])}${where}`);
  }
};
// What a colour stands for, or a ring of that colour, beside the chart: there it never lies on a line.
const keyed = (place, { colour, name, text, ring }) => {
  const one = add(place, "span", undefined, colour);
  if (ring) draw(draw(one, "svg", { class: "ring", viewBox: "0 0 14 14", "aria-hidden": "true" }), "circle", { class: "best", cx: 7, cy: 7, r: 5 });
  else add(one, "i", undefined, "swatch");
  if (name) add(one, "bdi", name);
  if (text) one.append(name ? `: ${text}` : text);
};
const paint = (own) => {
  const { lines, logY, marks = [], keys = [], feet = [], xLabel, from = -Infinity, fromZero } = own.about.now();
  own.lines = lines;
  own.frame.replaceChildren();
  own.keys.replaceChildren();
  for (const key of keys) keyed(own.keys, key);
  const width = Math.max(260, own.frame.clientWidth), height = own.about.height || Math.min(340, Math.max(210, width * 0.42));
  const left = 58, right = width - 12, top = 10, bottom = height - 34;
  const svg = draw(own.frame, "svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" });
  let lowX = Infinity, highX = -Infinity, lowY = Infinity, highY = -Infinity;
  for (const line of lines) for (let n = 0; line.x && n < line.x.length; n++) {
    const x = line.x[n], y = line.y[n];
    if (x === null || x < from || y === null || (logY && y <= 0)) continue;
    lowX = Math.min(lowX, x); highX = Math.max(highX, x); lowY = Math.min(lowY, y); highY = Math.max(highY, y);
  }
  for (const line of lines) if (line.level !== undefined && line.level !== null) { lowY = Math.min(lowY, line.level); highY = Math.max(highY, line.level); }
  if (!Number.isFinite(lowY)) { own.xs = []; own.scale = null; own.svg = svg; draw(svg, "text", { x: left, y: 40 }, "nothing to draw here"); return; }
  if (!Number.isFinite(lowX)) { lowX = 0; highX = 1; }
  if (fromZero && !logY) lowY = Math.min(0, lowY);
  const spread = logY ? 1 : (highY - lowY) * 0.05 || Math.abs(highY) * 0.05 || 1;
  if (logY) { lowY *= 0.95; highY *= 1.05; } else { lowY -= fromZero && lowY === 0 ? 0 : spread; highY += spread; }
  if (highX === lowX) { lowX -= 0.5; highX += 0.5; }
  const f = logY ? Math.log : (y) => y, low = f(lowY), high = f(highY);
  const X = (x) => left + (x - lowX) / (highX - lowX) * (right - left), Y = (y) => bottom - (f(y) - low) / (high - low) * (bottom - top);
  own.scale = { x: X, top, bottom, back: (x) => lowX + (x - left) / (right - left) * (highX - lowX) };
  own.svg = svg;
  for (const value of ticks(lowY, highY, 5, logY)) {
    draw(svg, "line", { class: "grid", x1: left, x2: right, y1: Y(value), y2: Y(value) });
    draw(svg, "text", { x: left - 6, y: Y(value) + 4, "text-anchor": "end" }, short(value));
  }
  for (const value of ticks(lowX, highX, Math.max(2, Math.floor(width / 85)), false)) {
    draw(svg, "line", { class: "grid", x1: X(value), x2: X(value), y1: bottom, y2: bottom + 4 });
    draw(svg, "text", { x: X(value), y: bottom + 16, "text-anchor": "middle" }, short(value));
  }
  draw(svg, "text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel);
  const xs = new Set();
  for (const line of lines) {
    const group = draw(svg, "g", { class: line.colour });
    if (line.level !== undefined) {
      if (line.level !== null) draw(group, "line", { class: "level", x1: left, x2: right, y1: Y(line.level), y2: Y(line.level) });
      continue;
    }
    let path = "", open = false, before = null;
    const dots = [];
    for (let n = 0; n < line.x.length; n++) {
      const x = line.x[n], y = line.y[n];
      if (x === null || x < from || y === null || (logY && y <= 0)) { open = false; continue; }
      const point = `${X(x).toFixed(1)} ${Y(y).toFixed(1)}`;
      if (point !== before) path += `${open ? "L" : "M"}${point}`;
      open = true;
      before = point;
      if (line.name) xs.add(x);
      dots.push([X(x), Y(y)]);
    }
    if (path && line.kind !== "dots") {
      const drawn = draw(group, "path", { class: line.kind, d: path });
      if (line.opacity) drawn.style.opacity = line.opacity;
    }
    if (line.kind === "dots" || line.kind === "valid" && dots.length <= 60 || dots.length === 1) for (const [cx, cy] of dots) draw(group, "circle", { class: "dots", cx, cy, r: 2.6, opacity: line.opacity || 1 });
  }
  for (const foot of feet) for (const x of foot.x) if (x !== null && x >= lowX) draw(draw(svg, "g", { class: foot.colour }), "line", { class: "tick", x1: X(x), x2: X(x), y1: bottom, y2: bottom - 9 });
  for (const mark of marks) {
    if (mark.x === null || mark.x < lowX || (logY && mark.y <= 0)) continue;
    draw(draw(svg, "g", { class: mark.colour }), "circle", { class: "best", cx: X(mark.x), cy: Y(mark.y), r: 5.5 });
  }
  own.xs = [...xs].sort((a, b) => a - b);
  if (own.at !== null && !own.xs.includes(own.at)) own.at = null;
  cursor(own);
};

// Charts and tables of coloured cells that are given as data.
const legend = (place, lines) => {
  const box = add(place, "div", undefined, "legend");
  for (const line of lines.filter((line) => line.name)) {
    const one = add(box, "span", undefined, colour(line.colour)), svg = draw(one, "svg", { viewBox: "0 0 26 10", "aria-hidden": "true" });
    if (line.kind === "dots") draw(svg, "circle", { class: "dots", cx: 13, cy: 5, r: 3 });
    else draw(svg, "line", { class: line.kind, x1: 0, x2: 26, y1: 5, y2: 5 });
    add(one, "bdi", line.name);
  }
  return box;
};
const pictured = (place, drawn, heats) => {
  const grid = add(place, "div", undefined, drawn.length > 1 ? "grid2" : "");
  for (const one of drawn) {
    const lines = one.lines.map((line) => ({ ...line, colour: colour(line.colour), name: line.kind === "dots" ? "" : line.name }));
    const made = chart(grid, one.title, {
      tellX: (x) => `${one.x_label} ${number(x)}`, height: drawn.length > 1 ? 260 : undefined,
      now: () => ({ lines, logY: one.log_y, xLabel: one.x_label, marks: one.rings.map(([hue, x, y]) => ({ colour: colour(hue), x, y })), keys: one.rings.map(([hue, , , text]) => ({ colour: colour(hue), text, ring: true })) }),
    });
    made.frame.before(legend(made.frame.parentElement, one.lines));
  }
  const maps = add(place, "div", undefined, heats.length > 1 ? "grid2" : "");
  for (const one of heats) {
    const share = (row, column) => one.shares[row][column];
    heat(add(maps, "div", undefined, "wide"), one.title, one.rows, one.columns, share, (row, column) => `${one.rows[row]}, ${one.columns[column]}: ${number(share(row, column), 2)}`, one.counts);
  }
};
