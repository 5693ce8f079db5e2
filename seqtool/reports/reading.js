// The text as a run read it: coloured, with what was likely in each place, what surprised most, the map, calibration.
let token = -1, spans = [];
const readings = data.texts;
$("texts").hidden = !readings.length;
const paint_by = $("paint"), layer = $("layer"), head = $("head");
let shares = null;
const share = (attention, row, column) => {
  let sum = 0, count = 0;
  for (let l = 0; l < attention.layers; l++) for (let h = 0; h < attention.heads; h++) {
    if ((layer.value !== "-1" && Number(layer.value) !== l) || (head.value !== "-1" && Number(head.value) !== h)) continue;
    sum += shares[((l * attention.heads + h) * attention.tokens + row) * attention.tokens + column];
    count++;
  }
  return sum / count / 255;
};
const tint = () => {
  const reading = readings[Number(reader.value)], by = paint_by.value, about = $("about-paint"), { attention, units } = reading.inside;
  $("scale").hidden = by !== "surprise";
  $("looking").hidden = by !== "attention";
  about.textContent = "";
  const colours = (of) => spans.forEach((span, n) => {
    const [kind, strength] = of(n);
    span.style.backgroundColor = strength ? `rgba(var(--${kind}), ${Math.min(1, strength).toFixed(3)})` : "transparent";
  });
  if (by === "surprise") spans.forEach((span, n) => shade(span, reading.nats[n]));
  else if (by === "attention") {
    const chosen = token >= 0 && token < attention.tokens;
    const row = Array.from({ length: chosen ? token : 0 }, (_, n) => share(attention, token, n + 1)), most = Math.max(1e-9, ...row);
    colours((n) => ["look", 0.9 * (row[n] ?? 0) / most]);
    about.textContent = chosen ? `Where the model looked when it predicted the chosen token: the strongest colour is a share of ${number(Math.max(0, ...row), 3)} of its attention; ${number(share(attention, token, 0), 3)} went to the text's beginning.` : `Choose one of the first ${attention.tokens} tokens: what the model looked at when it predicted it is coloured.`;
  } else if (by.startsWith("gate")) {
    const gate = reading.inside.gates[Number(by.slice(5))];
    colours((n) => ["look", 0.75 * (gate.values[n] ?? 0) / 100]);
    about.textContent = `The mean of these gates as each token was read, from ${number(gate.low, 3)} (no colour) to ${number(gate.high, 3)} (the strongest).`;
  } else {
    const unit = units[Number(by)];
    colours((n) => { const value = unit.values[n] ?? 0; return [value < 0 ? "cold" : "look", 0.75 * Math.abs(value) / 100]; });
    about.textContent = `The unit after each token has been read, from ${number(-unit.largest, 2)} (blue) to ${number(unit.largest, 2)} (orange), of ${number(reading.inside.unit_count)} units over ${number(reading.inside.unit_tokens)} tokens; it was chosen on the first half of these, and r is its correlation on the second.`;
  }
};
const likeliest = (card, rows) => {
  const body = add(add(card, "table"), "tbody");
  for (const [name, p, came] of rows) {
    const row = add(body, "tr");
    add(add(row, "td"), "bdi", name, "token");
    add(add(row, "td"), "meter").value = p;
    add(row, "td", number(p), "number");
    add(row, "td", came ? "\u2190 what came" : "");
  }
};
const told = (card, name, nats) => {
  const line = add(card, "p");
  shade(add(line, "bdi", name, "token"), nats);
  line.append(` cost ${number(nats, 3)} nats (${number(nats / Math.LN2, 3)} bits): its probability was ${number(Math.exp(-nats))}. Likeliest there:`);
};
const choose = (next, scroll) => {
  const reading = readings[Number(reader.value)];
  spans[token]?.classList.remove("at");
  for (const span of document.querySelectorAll(".text .line")) span.classList.remove("line");
  token = Math.max(-1, Math.min(reading.shown - 1, next));
  const card = $("card");
  card.replaceChildren();
  card.scrollTop = 0;
  if (paint_by.value === "attention") tint();
  if (token < 0) { add(card, "p", "No token is chosen.", "faint"); return; }
  spans[token].classList.add("at");
  if (scroll) spans[token].scrollIntoView({ block: "nearest" });
  told(card, reading.names[reading.ids[token]], reading.nats[token]);
  likeliest(card, reading.likely[token].map((index, n) => [reading.names[index], reading.p[token][n], index === reading.ids[token]]));
};

// Show the place of what surprised: a token or a line, in the text, or in the card where the text is not shown so far.
const turnTo = (n, one) => {
  if (reader.value !== String(n)) { reader.value = String(n); read(); }
  const reading = readings[n], place = $("text"), card = $("card"), isLine = one.tokens !== undefined;
  if (one.place < reading.shown) {
    choose(one.place);
    if (isLine) for (const span of spans.slice(one.place, one.place + one.tokens)) span.classList.add("line");
    place.scrollTop = spans[one.place].offsetTop - place.clientHeight / 2;
    place.scrollIntoView({ block: "start" });
    keep();
    return;
  }
  choose(-1);
  card.replaceChildren();
  const two = add(card, "div", undefined, "grid2"), left = add(two, "div"), right = add(two, "div");
  add(left, "p", `It lies behind the ${number(reading.shown)} tokens that are shown: ${isLine ? `line ${number(one.number)}, ` : ""}token ${number(one.place + 1)}. Around it:`, "faint");
  const around = add(left, "div", undefined, "around");
  around.append(one.around[0]);
  shade(add(around, "bdi", isLine ? one.text : one.token, "token"), isLine ? one.nats / one.tokens : one.nats);
  around.append(one.around[1]);
  if (isLine) add(right, "p", `The line cost ${number(one.nats, 2)} nats, ${number(one.nats / one.tokens, 3)} for each of its ${number(one.tokens)} tokens.`);
  else { told(right, one.token, one.nats); likeliest(right, one.likeliest); }
  card.scrollIntoView({ block: "start" });
  keep();
};

// The map, as large as there is room for, with as many names as do not cover one another.
const mapped = () => {
  const map = readings[Number(reader.value)]?.map, place = $("map-drawing");
  $("map").hidden = !map;
  place.replaceChildren();
  if (!map) return;
  const scale = Math.min(place.clientWidth / map.width, 420 / map.height), width = map.width * scale, height = map.height * scale, size = 12;
  $("about-map").textContent = map.about;
  const svg = draw(place, "svg", { class: "map", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": map.about });
  const group = draw(svg, "g", { class: colour(readings[Number(reader.value)].run) });
  const taken = map.dots.map(([x, y]) => [x * scale - 2, y * scale - 2, x * scale + 2, y * scale + 2]);
  map.dots.forEach(([x, y], n) => draw(draw(group, "circle", { class: "dots", cx: x * scale, cy: y * scale, r: 2 }), "title", {}, map.names[n]));
  map.dots.forEach(([x, y], n) => {
    const long = size * [...map.names[n]].reduce((sum, letter) => sum + (letter > "\u2e80" ? 1 : 0.64), 0);
    for (const left of [x * scale + 4, x * scale - 4 - long]) {
      const box = [left, y * scale - size / 2, left + long, y * scale + size / 2];
      if (box[0] < 0 || box[2] > width || taken.some((one) => one[0] < box[2] && box[0] < one[2] && one[1] < box[3] && box[1] < one[3])) continue;
      taken.push(box);
      draw(svg, "text", { x: left, y: y * scale + size / 3 }, map.names[n]).style.fontSize = `${size}px`;
      break;
    }
  });
};
const read = () => {
  const reading = readings[Number(reader.value)], place = $("text");
  if (!reading) return;
  $("about-text").textContent = reading.about;
  place.replaceChildren();
  spans = reading.pieces.map((piece, n) => {
    const span = add(place, "span", piece);
    span.dataset.n = n;
    return span;
  });
  token = -1;
  const { attention, units = [], gates = [] } = reading.inside, option = (select, text, value) => { add(select, "option", text).value = value; };
  for (const select of [paint_by, layer, head]) select.replaceChildren();
  option(paint_by, "surprise", "surprise");
  if (attention) {
    option(paint_by, "attention", "attention");
    shares = Uint8Array.from(atob(attention.shares), (letter) => letter.charCodeAt(0));
    for (const [select, count] of [[layer, attention.layers], [head, attention.heads]]) {
      option(select, "mean of all", "-1");
      for (let n = 0; n < count; n++) option(select, String(n + 1), String(n));
    }
  }
  units.forEach((unit, n) => option(paint_by, unit.name, String(n)));
  gates.forEach((gate, n) => option(paint_by, gate.name, `gate ${n}`));
  tint();
  choose(-1);
  $("worst-tokens").replaceChildren();
  $("worst-lines").replaceChildren();
  const worst = tabled($("worst-tokens"), ["nats", "the most surprising tokens, in what is around them", "likeliest there"], []);
  const here = Number(reader.value), go = (row, one) => {
    const button = add(add(row, "td"), "button", undefined, "go");
    button.type = "button";
    button.title = one.place < reading.shown ? "Show it in the text" : "Show the text around it";
    button.addEventListener("click", () => turnTo(here, one));
    return button;
  };
  for (const one of reading.worst_tokens) {
    const row = add(worst.tBodies[0], "tr"), around = (add(row, "td", number(one.nats, 2), "number"), go(row, one));
    add(around, "bdi", one.before);
    shade(add(around, "bdi", one.token, "token"), one.nats);
    add(around, "bdi", one.after);
    add(add(row, "td"), "bdi", `${one.likely} (${number(one.p, 2)})`);
  }
  const lines = tabled($("worst-lines"), ["nats/token", "line", "the most surprising lines"], []);
  for (const one of reading.worst_lines) {
    const row = add(lines.tBodies[0], "tr");
    shade(add(row, "td", number(one.nats / one.tokens, 2), "number"), one.nats / one.tokens);
    add(row, "td", number(one.number), "number");
    add(go(row, one), "bdi", one.text);
  }
  mapped();
  $("about-bins").textContent = reading.about_bins;
  $("bins").replaceChildren();
  $("bins-chart").replaceChildren();
  tabled($("bins"), ["p", "mean p", "share that came", "predictions"], reading.bins.map((bin) => [`${bin.low}\u2013${bin.high}`, number(bin.p), number(bin.share), number(bin.predictions)]));
  const size = 280, at = (p) => 52 + p * (size - 66), up = (p) => size - 40 - p * (size - 54);
  const svg = draw($("bins-chart"), "svg", { viewBox: `0 0 ${size} ${size}`, width: size, height: size, role: "img", "aria-label": "Calibration; the numbers are in the table beside it" });
  for (const p of [0, 0.5, 1]) {
    draw(svg, "line", { class: "grid", x1: at(0), x2: at(1), y1: up(p), y2: up(p) });
    draw(svg, "text", { x: at(0) - 5, y: up(p) + 4, "text-anchor": "end" }, String(p));
    draw(svg, "text", { x: at(p), y: size - 24, "text-anchor": "middle" }, String(p));
  }
  draw(svg, "text", { x: at(0.5), y: size - 6, "text-anchor": "middle" }, "probability that the model gave");
  draw(svg, "text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(14 ${up(0.5)}) rotate(-90)` }, "share that came");
  draw(svg, "line", { class: "ideal", x1: at(0), y1: up(0), x2: at(1), y2: up(1) });
  const points = reading.bins.filter((bin) => bin.p !== null), group = draw(svg, "g", { class: colour(reading.run) });
  draw(group, "path", { class: "mean", d: points.map((bin, n) => `${n ? "L" : "M"}${at(bin.p)} ${up(bin.share)}`).join("") });
  for (const bin of points) draw(group, "circle", { class: "dots", cx: at(bin.p), cy: up(bin.share), r: 3.5 });
};
readings.forEach((reading, n) => { add(reader, "option", runs[reading.run].name).value = String(n); });
reader.addEventListener("change", () => { read(); keep(); });
for (const control of [paint_by, layer, head]) control.addEventListener("change", () => { tint(); keep(); });
$("text").addEventListener("pointerover", (event) => { if (event.target.dataset.n !== undefined) choose(Number(event.target.dataset.n)); });
$("text").addEventListener("click", (event) => { if (event.target.dataset.n !== undefined) choose(Number(event.target.dataset.n)); });
$("text").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -Infinity, End: Infinity }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  choose(Math.max(0, token + by), true);
});
