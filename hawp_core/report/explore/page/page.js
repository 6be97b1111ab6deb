// hawp explore: what the page shows, and what keys and controls change in it.

import {ask, remember, rememberPicture} from "./data.js";
import {List, make} from "./list.js";
import {histogram} from "./histogram.js";
import {View} from "./view.js";
import {counted, placeOf, time} from "./words.js";

const EVERY = 2000; // milliseconds between two looks at what the run has added
const SHARPEN = 250; // milliseconds after a zoom until a larger picture is asked for
const STEP = 0.05; // of the least score, by key

const $ = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

const now = {
  text: "", runs: [], sets: {}, // what the server has
  run: null, set: null, row: null, // what is shown: numbers of the run's last labelling, of the labelling, of the photograph
  lines: null, picture: null, hidden: false,
};
const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const list = new List($("list"), $("rows"), (row) => choosePhotograph(row));
const view = new View($("canvas"), sharpen, hover);

// The round: which are there, and which is shown

async function look() {
  try {
    if (!document.hidden || !now.text) await update(await ask("runs"));
  } catch (error) {
    say(error.message, true);
  }
  setTimeout(look, EVERY);
}

async function update(found) {
  const text = JSON.stringify(found);
  if (text === now.text) return;
  const before = now.sets, shown = before[now.set];
  Object.assign(now, {text, runs: found.runs, sets: found.sets});
  const numbers = Object.keys(now.sets).map(Number);
  const added = now.set === null ? [] : numbers.filter((number) => !(number in before));
  const faults = found.faults.length ? `${found.faults.length} cannot be read: ${found.faults[0]}` : "";
  say(faults || (added.length ? `${now.sets[added.at(-1)].name} is new` : ""), Boolean(faults));
  if (!numbers.length) {
    $("message").textContent = "No photographs are labelled yet. They appear here as soon as a round has labelled them, or hawp predict has looked at them.";
    $("message").hidden = false;
    return;
  }
  if (now.set in now.sets) {
    drawRounds(added);
    if (shown.images !== now.sets[now.set].images) await lengthen();
    return;
  }
  // Others lie in the place of those that were shown, or it is the first look.
  const place = shown ? placeOf(shown) : wanted.labels;
  const same = numbers.find((number) => placeOf(now.sets[number]) === place);
  await chooseSet(same ?? now.runs[0].at(-1));
}

// Results of hawp predict, to which it adds rows while somebody looks.
async function lengthen() {
  const set = now.set, listing = await ask(`sets/${set}`);
  if (now.set !== set) return;
  list.show(listing);
  count();
}

function drawRounds(added = []) {
  // A run that went on keeps what it began with.
  const own = now.runs.find((run) => run.at(-1) === now.run && run.includes(now.set)) ?? now.runs.find((run) => run.includes(now.set));
  now.run = own.at(-1);
  $("run").replaceChildren(...now.runs.map((run) => {
    const last = now.sets[run.at(-1)], option = make("option", "", `${last.run} · ${last.predicted ? last.title : counted(run.length, "round")} · ${time(last.written)}`);
    option.value = run.at(-1);
    option.title = last.key;
    return option;
  }));
  $("run").value = now.run;
  $("rounds").replaceChildren(...own.map((number) => {
    const set = now.sets[number], button = make("button", added.includes(number) ? "fresh" : "", set.title);
    button.type = "button";
    button.title = `${placeOf(set)}, written ${time(set.written)}, photographs in ${set.folder}`;
    const mean = set.images ? `${(set.lines / set.images).toFixed(0)} lines each` : "";
    button.append(make("small", "", mean));
    button.setAttribute("aria-current", number === now.set);
    button.addEventListener("click", () => chooseSet(number));
    return button;
  }));
}

async function chooseSet(number) {
  const before = list.names[now.row] ?? wanted.photograph;
  now.set = number;
  drawRounds();
  try {
    const listing = await remember(`sets/${number}`);
    if (now.set !== number) return;
    list.show(listing);
    count();
    const same = listing.names.indexOf(before);
    await choosePhotograph(same >= 0 ? same : list.order[0] ?? null);
    if (listing.previous === null) return;
    const {agreement, most} = await remember(`sets/${number}/agreement`);
    if (now.set !== number) return;
    list.show({...listing, agreement});
    list.choose(now.row);
    count(agreement.length > most ? `; agreement of ${most} of them` : "");
  } catch (error) {
    say(error.message, true);
  }
}

function besideRound(steps) {
  const own = now.runs.find((run) => run.at(-1) === now.run) ?? [];
  const number = own[own.indexOf(now.set) + steps];
  if (number !== undefined) chooseSet(number);
}

// The photograph

async function choosePhotograph(row) {
  now.row = row;
  list.choose(row);
  if (row === null) return;
  const set = now.set, stale = () => now.set !== set || now.row !== row;
  const problem = (error) => { if (!stale()) { $("message").textContent = error.message; $("message").hidden = false; } };
  try {
    const lines = await remember(`sets/${set}/lines/${row}`);
    if (stale()) return;
    const other = now.lines?.name !== lines.name;
    Object.assign(now, {lines, picture: other ? null : now.picture});
    $("message").hidden = true;
    const picture = await pictureOf(set, row, lines).catch(problem);
    if (stale()) return;
    now.picture = picture ?? null;
  } catch (error) {
    problem(error);
    now.lines = now.picture = null;
  }
  draw();
  keepPlace();
  // The next one is there before it is asked for.
  const next = list.beside(1);
  if (next !== null) remember(`sets/${set}/lines/${next}`).then((lines) => pictureOf(set, next, lines)).catch(() => {});
}

// Pixels of the longer side that the screen shows, in steps, so that a larger window does not ask anew for each pixel.
function side({width, height}) {
  const screen = Math.max(view.across, view.down) * view.zoom * view.ratio;
  return Math.min(Math.max(width, height), Math.ceil(screen / 512) * 512);
}

function pictureOf(set, row, lines) {
  // Rounds share a photograph, which comes only once.
  return rememberPicture(`sets/${set}/picture/${row}/${side(lines)}`, `${now.sets[set].folder}\n${row}\n${lines.name}\n${side(lines)}`);
}

let sharpening = 0;
function sharpen() {
  clearTimeout(sharpening);
  sharpening = setTimeout(async () => {
    const {set, row, lines, picture} = now;
    if (!lines || !picture || picture.width >= side(lines)) return;
    const larger = await pictureOf(set, row, lines).catch(() => null);
    if (larger && now.set === set && now.row === row) {
      now.picture = larger;
      draw();
    }
  }, SHARPEN);
}

// What is drawn of it

function groups() {
  const {lines, hidden} = now, least = Number($("score").value);
  if (!lines) return [];
  const enough = (scores) => (i) => scores[i] >= least;
  const pick = (from, chosen, name, dashed = false) => ({
    name, dashed, colour: colour(`--${name}`), lines: chosen.map((i) => from.lines[i]), scores: chosen.map((i) => from.scores[i]),
    drawn: !hidden && $(`show-${name}`).checked,
  });
  const rows = [...lines.lines.keys()].filter(enough(lines.scores)), kept = lines.kept ?? rows.map(() => true);
  const compared = Boolean(lines.kept), gone = compared ? lines.gone : {lines: [], scores: []};
  return [
    pick(gone, [...gone.lines.keys()].filter(enough(gone.scores)), "gone", true),
    pick(lines, compared ? rows.filter((i) => kept[i]) : rows, "kept"),
    pick(lines, compared ? rows.filter((i) => !kept[i]) : [], "new"),
  ];
}

function draw() {
  const {lines, picture} = now, found = groups(), compared = Boolean(lines?.kept);
  view.ends = $("show-ends").checked;
  view.show(lines, picture, found.filter((group) => group.drawn));
  for (const element of document.querySelectorAll(".compared")) element.hidden = !compared;
  $("kept-word").textContent = compared ? "in both rounds" : "lines";
  for (const group of found) $(`${group.name}-count`).textContent = group.lines.length;
  const [, ...own] = found, least = Number($("score").value);
  const drawn = own.filter((group) => group.drawn).reduce((sum, group) => sum + group.lines.length, 0);
  $("drawn").textContent = lines ? `${drawn} of ${counted(lines.lines.length, "line")}` : "";
  $("score-value").textContent = least.toFixed(2);
  histogram($("histogram"), lines?.scores ?? [], least, colour("--kept"), colour("--rule"));
  $("title").textContent = lines?.name ?? "";
  $("title").title = lines?.name ?? "";
  $("size").textContent = lines ? `${lines.width} × ${lines.height}` : "";
  $("canvas").setAttribute("aria-label", lines ? `${lines.name} with ${drawn} lines` : "no photograph");
}

function hover(found) {
  $("hint").hidden = !found;
  if (!found) return;
  const [x1, y1, x2, y2] = found.line;
  $("hint").textContent = `score ${found.score.toFixed(3)}, ${Math.hypot(x2 - x1, y2 - y1).toFixed(0)} pixels long`;
}

// Filters, words, the address

function filter() {
  const range = (name, most) => [Number($(`${name}-from`).value || 0), $(`${name}-to`).value === "" ? most : Number($(`${name}-to`).value)];
  list.criteria = {name: $("name").value, lines: range("lines", Infinity), agreement: range("agreement", 100)};
  list.arrange();
  count();
}

function count(more = "") {
  $("counted").textContent = `${list.order.length} of ${counted(list.names.length, "photograph")}${more}`;
}

function say(text, fault = false) {
  $("status").textContent = text;
  $("status").classList.toggle("fault", fault);
}

function keepPlace() {
  const set = now.sets[now.set];
  const place = {labels: placeOf(set), photograph: now.lines?.name ?? "", score: $("score").value};
  history.replaceState(null, "", `#${new URLSearchParams(place)}`);
}

function sortBy(button) {
  const by = button.dataset.sort;
  list.sort = {by, down: list.sort.by === by ? !list.sort.down : false};
  for (const other of $("heads").children) other.removeAttribute("aria-sort");
  button.setAttribute("aria-sort", list.sort.down ? "descending" : "ascending");
  list.arrange();
  list.choose(now.row);
}

function go(steps) {
  const row = list.beside(steps);
  if (row !== null) choosePhotograph(row);
}

function score(value) {
  $("score").value = value;
  draw();
  keepPlace();
}

const KEYS = {
  ArrowDown: () => go(1), ArrowUp: () => go(-1), j: () => go(1), k: () => go(-1), PageDown: () => go(10), PageUp: () => go(-10),
  ArrowRight: () => besideRound(1), ArrowLeft: () => besideRound(-1),
  "+": () => score(Number($("score").value) + STEP), "=": () => score(Number($("score").value) + STEP),
  "-": () => score(Number($("score").value) - STEP),
  " ": () => { now.hidden = !now.hidden; draw(); },
  "0": () => { view.whole(); draw(); },
  "/": () => $("name").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select")) {
    if (event.key === "Escape") event.target.blur();
    if (event.target.type !== "checkbox" || event.key === " ") return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (event.key === " " && event.target.matches("button")) return;
  event.preventDefault();
  KEYS[event.key]();
});

for (const name of ["name", "lines-from", "lines-to", "agreement-from", "agreement-to"]) $(name).addEventListener("input", filter);
for (const name of ["kept", "new", "gone", "ends"]) $(`show-${name}`).addEventListener("change", draw);
for (const button of $("heads").children) button.addEventListener("click", () => sortBy(button));
$("score").addEventListener("input", draw);
$("score").addEventListener("change", () => { if (now.lines) keepPlace(); });
// Arrows walk again once the mouse has let go of the slider.
$("score").addEventListener("pointerup", () => $("score").blur());
$("run").addEventListener("change", () => { const last = Number($("run").value); now.run = last; $("run").blur(); chooseSet(last); });
$("back").addEventListener("click", () => go(-1));
$("next").addEventListener("click", () => go(1));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

$("score").value = wanted.score ?? 0;
$("heads").children[0].setAttribute("aria-sort", "ascending");
look();
