// Linked slice views: a click in one scan asks the server, and the crosshairs of the others jump to the answers.
import { drawCircles } from "./circles.js";
import { PLANES, STEPS, WINDOWS, ask, element, label, loadScan, millimetres, nameView, newView, say, setRange, show, step } from "./scans.js";

const ALTERNATIVES_AFTER_MS = 250; // a click is answered first; what else fits can wait until the hand rests

const views = []; // one a scan: {scan, viewer, node, canvas, point, overlay, circled}
let pins = [];
let current = null; // {from, point, answers}: what is shown
let asking = false;
let waiting = null; // the newest question, while another is being answered
let correcting = null; // the pin whose points are being moved
let alternativesTimer = 0;

// ---- questions -------------------------------------------------------------------------------------------------

async function point(index, at) {
  views[index].point = at;
  if (correcting) {
    correcting.moved[index] = at;
    say(`${views[index].scan.name}: ${millimetres(at)}. Press “Done” in the list to keep it.`);
    return;
  }
  waiting = { from: index, point: at };
  if (asking) return;
  asking = true;
  try {
    while (waiting) {
      const question = waiting;
      waiting = null;
      const started = performance.now();
      const reply = await ask("match", question);
      if (!waiting) answer(question, reply.answers, performance.now() - started);
    }
  } catch (error) {
    say(error.message, true);
  } finally {
    asking = false;
  }
}

function answer(question, answers, elapsed) {
  current = { ...question, answers };
  views.forEach((view, index) => {
    view.node.classList.toggle("asked", index === question.from);
    view.node.querySelector(".alternatives").replaceChildren();
    if (index !== question.from) return;
    label(view, "asked", "asked", millimetres(question.point));
    circle(view, null);
  });
  for (const found of answers) {
    const view = views[found.scan];
    if (found.point) show(view, found.point);
    label(view, found.decision, certainty(found), described(found));
    circle(view, found);
  }
  element("pin").disabled = false;
  document.body.dataset.answered = String(Number(document.body.dataset.answered || 0) + 1);
  document.body.dataset.milliseconds = elapsed.toFixed(1);
  say(`Answered in ${elapsed.toFixed(0)} ms.`);
  clearTimeout(alternativesTimer);
  alternativesTimer = setTimeout(() => more(current), ALTERNATIVES_AFTER_MS);
}

function refinement(found) {
  if (!found.refined) return "";
  return found.refined === "yes" ? `, moved ${found.refinement_shift_mm.toFixed(1)} mm to the voxel` : `, in its cell: ${found.refined}`;
}

const radii = (found) =>
  found.radius_90_mm === null ? "" : `; 50 % within ${found.radius_50_mm.toFixed(1)} mm, 90 % within ${found.radius_90_mm.toFixed(1)} mm`;

function described(found) {
  if (!found.point) return found.reason;
  const numbers = `${millimetres(found.point)}; similarity ${found.similarity.toFixed(3)}, way back ${found.cycle_error_mm.toFixed(1)} mm off${refinement(found)}${radii(found)}`;
  return found.reason ? `${numbers}; ${found.reason}` : numbers;
}

const certainty = (found) => {
  const word = found.decision.replaceAll("_", " ");
  return found.confidence === null || !found.point ? word : `${word}, ${Math.round(100 * found.confidence)} % sure`;
};

const radiiOf = (found) => (found.radius_90_mm === null ? [] : [found.radius_90_mm, found.radius_50_mm]);

function circle(view, found) {
  view.circled = found?.point ? { point: found.point, radii: radiiOf(found) } : null;
  redraw(view);
}

const redraw = (view) => drawCircles(view.node.querySelector(".canvas-frame"), view.viewer, view.circled?.point, view.circled?.radii);

async function more(shown) {
  for (const [index, view] of views.entries()) {
    if (index === shown.from || shown !== current) continue;
    try {
      const reply = await ask("alternatives", { from: shown.from, to: index, point: shown.point });
      if (shown === current) offer(view, reply.alternatives);
    } catch (error) {
      if (shown === current) say(error.message, true);
    }
  }
  if (shown === current && element("overlay").checked) await overlay(shown);
}

function offer(view, alternatives) {
  const group = view.node.querySelector(".alternatives");
  group.setAttribute("aria-label", `Alternatives in ${view.scan.name}`);
  const buttons = alternatives.map((other, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${number + 1}: ${other.similarity.toFixed(3)}`;
    button.title = millimetres(other.point);
    button.setAttribute("aria-label", `Alternative ${number + 1} in ${view.scan.name}: similarity ${other.similarity.toFixed(3)}`);
    button.addEventListener("click", () => {
      show(view, other.point);
      const kept = current.answers.find((found) => found.scan === views.indexOf(view));
      kept.point = other.point;
      kept.similarity = other.similarity;
      kept.corrected = true;
      kept.decision = "review";
      kept.confidence = kept.radius_50_mm = kept.radius_90_mm = null;
      circle(view, null);
      label(view, "review", "chosen by hand", `${millimetres(other.point)}; similarity ${other.similarity.toFixed(3)}`);
    });
    return button;
  });
  group.replaceChildren(...(buttons.length ? ["Also similar:", ...buttons] : []));
}

async function overlay(shown) {
  for (const [index, view] of views.entries()) {
    if (view.overlay) {
      view.viewer.removeVolume(view.overlay);
      view.overlay = null;
    }
    if (!shown || !element("overlay").checked || index === shown.from) continue;
    const query = new URLSearchParams({ from: shown.from, to: index, point: shown.point.join(",") });
    const map = await view.viewer.addVolumeFromUrl({
      url: `similarity?${query}`, name: "similarity.nii.gz", colormap: "warm", opacity: 0.55, cal_min: 0.5, cal_max: 1,
    });
    view.overlay = map;
    show(view, view.point);
  }
}

// ---- pinned points ---------------------------------------------------------------------------------------------

async function keep(changed) {
  pins = (await ask("pins", { pins: changed })).pins;
  list();
}

function pinCurrent() {
  if (!current || correcting) return;
  const points = views.map((view, index) => {
    if (index === current.from) return { point: current.point, decision: "asked", similarity: null, confidence: null, radius_50_mm: null, radius_90_mm: null, corrected: false };
    const found = current.answers.find((answered) => answered.scan === index);
    const { point: at, decision, similarity, confidence, radius_50_mm, radius_90_mm } = found;
    return { point: at, decision, similarity, confidence, radius_50_mm, radius_90_mm, corrected: Boolean(found.corrected) };
  });
  const number = Math.max(0, ...pins.map((pin) => pin.number)) + 1;
  keep([...pins, { number, name: `point ${number}`, from: current.from, points }]).then(
    () => say(`Pinned as point ${number}.`), (error) => say(error.message, true));
}

function list() {
  element("no-pins").hidden = pins.length > 0;
  element("pins").hidden = pins.length === 0;
  const rows = pins.map((pin, row) => {
    const line = document.createElement("tr");
    line.classList.toggle("correcting", correcting?.number === pin.number);
    line.append(nameCell(pin, row), ...pin.points.map((entry) => pointCell(entry)), actionsCell(pin, row));
    return line;
  });
  element("pins").tBodies[0].replaceChildren(...rows);
}

function nameCell(pin, row) {
  const cell = document.createElement("th");
  cell.scope = "row";
  const input = document.createElement("input");
  input.type = "text";
  input.value = pin.name;
  input.size = 14;
  input.setAttribute("aria-label", `Name of point ${pin.number}`);
  input.addEventListener("change", () => keep(pins.with(row, { ...pin, name: input.value })).catch((error) => say(error.message, true)));
  cell.append(input);
  return cell;
}

function pointCell(entry) {
  const cell = document.createElement("td");
  cell.textContent = entry.point ? millimetres(entry.point) : "–";
  const note = document.createElement("span");
  note.className = entry.corrected ? "corrected" : entry.decision;
  note.textContent = ` ${entry.corrected ? "corrected" : entry.decision}`;
  cell.append(note);
  return cell;
}

function actionsCell(pin, row) {
  const cell = document.createElement("td");
  cell.className = "actions";
  const add = (text, action) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", `${text} ${pin.name}`);
    button.addEventListener("click", () => Promise.resolve(action()).catch((error) => say(error.message, true)));
    cell.append(button, " ");
  };
  if (correcting?.number === pin.number) {
    add("Done", () => finishCorrection(row));
  } else {
    add("Go to", () => pin.points.forEach((entry, index) => entry.point && show(views[index], entry.point)));
    add("Correct", () => {
      correcting = { number: pin.number, moved: {} };
      pin.points.forEach((entry, index) => entry.point && show(views[index], entry.point));
      list();
      say(`Click where ${pin.name} really lies; the scans are not linked now.`);
    });
    add("Remove", () => keep(pins.toSpliced(row, 1)));
  }
  return cell;
}

async function finishCorrection(row) {
  const pin = pins[row];
  const points = pin.points.map((entry, index) =>
    index in correcting.moved ? { ...entry, point: correcting.moved[index], corrected: true } : entry);
  correcting = null;
  await keep(pins.with(row, { ...pin, points }));
  say(`${pin.name} is corrected; clicks are linked again.`);
}

// ---- setting up ------------------------------------------------------------------------------------------------

function setWindow(name) {
  element("window").value = name;
  views.forEach((view) => setRange(view, name));
}

function onKey(event) {
  if (event.target.matches("input[type=text], select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const index = views.findIndex((view) => view.canvas === document.activeElement);
  if (STEPS[event.key] && index >= 0) {
    const at = step(views[index], event.key);
    show(views[index], at);
    point(index, at);
  } else if (event.key === "p" || event.key === "P") {
    pinCurrent();
  } else if (event.key === "s" || event.key === "S") {
    element("overlay").click();
  } else if ("1234".includes(event.key)) {
    setWindow(Object.keys(WINDOWS)[Number(event.key) - 1]);
  } else {
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
}

async function addView(scan, index) {
  const view = await newView(index, (_, at) => point(index, at));
  views[index] = view;
  nameView(view, scan.name);
  await loadScan(view, scan);
  show(view, scan.centre_mm);
  new ResizeObserver(() => requestAnimationFrame(() => redraw(view))).observe(view.canvas);
}

async function start() {
  const session = await ask("session");
  element("model").replaceChildren(...session.model.map((line) => {
    const row = document.createElement("li");
    row.textContent = line;
    return row;
  }));
  element("pins-head").replaceChildren(...["Name", ...session.scans.map((scan) => scan.name), "Actions"].map((text) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    return cell;
  }));
  element("exports").innerHTML = "";
  const exports = [
    ["pins.csv", "Export CSV", "pins.csv"],
    ...session.scans.map((scan, index) => [`pins-${index}.mrk.json`, `Slicer markups of ${scan.name}`, `${scan.name}.mrk.json`]),
  ];
  for (const [path, text, fileName] of exports) {
    const link = document.createElement("a");
    link.href = path;
    link.download = fileName;
    link.textContent = text;
    element("exports").append(link);
  }
  await Promise.all(session.scans.map(addView));
  setWindow("soft");
  pins = (await ask("pins")).pins;
  list();
  element("window").addEventListener("change", (event) => setWindow(event.target.value));
  element("planes").addEventListener("change", (event) => {
    views.forEach((view) => { view.viewer.setSliceType(PLANES[event.target.value]); redraw(view); });
  });
  element("overlay").addEventListener("change", () => current && overlay(current).catch((error) => say(error.message, true)));
  element("pin").addEventListener("click", pinCurrent);
  window.addEventListener("keydown", onKey, { capture: true });
  document.body.dataset.ready = "true";
  say("Ready. Click or touch a point in any scan.");
}

// A door for scripts and tests: ask at a point in world mm, as a click there does.
window.askAt = (index, at) => { show(views[index], at); return point(index, at); };

start().catch((error) => say(`The page could not start: ${error.message}`, true));
