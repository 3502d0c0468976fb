// One answer after the other, least sure first: the lesion as it was given beside the place where it was found.
import { PLANES, STEPS, WINDOWS, ask, element, label, loadScan, millimetres, nameView, newView, say, setRange, show, step } from "./scans.js";

const DONE = { accept: "accepted", move: "moved", reject: "rejected" };
const MASK_OPACITY = 0.35;

let session = null;
let views = []; // the given place, and the answer
let current = 0; // number of the answer that is shown
let moved = null; // where the reader put the place, until it is decided
let busy = Promise.resolve(); // what is asked for is done one after the other

const given = () => views[0];
const found = () => views[1];
const answer = () => session.answers[current];
const undecided = () => session.answers.filter((each) => !each.decision).length;
const nameOf = (each) => `Lesion ${each.lesion}${each.label ? ` (${each.label})` : ""} at ${session.visits[each.visit].name}`;
const sureOf = (each) => (each.probability === null ? "unknown" : `${Math.round(100 * each.probability)} %`);
const toneOf = (each) => (!each.point ? "failed" : each.state === "to review" ? "review" : "found");

// ---- scans -----------------------------------------------------------------------------------------------------

// Scans stay loaded: a view that shows a visit again takes it from its store.
async function showVisit(view, visit) {
  if (view.visit === visit) return;
  for (const volume of [...view.viewer.volumes]) view.viewer.removeVolume(volume);
  view.overlay = null;
  const scan = session.visits[visit];
  if (view.loaded.has(visit)) {
    view.viewer.addVolume(view.loaded.get(visit));
    view.scan = scan;
  } else {
    await loadScan(view, scan);
    view.loaded.set(visit, view.viewer.volumes[0]);
  }
  view.visit = visit;
  setRange(view, element("window").value);
}

async function showMask(view, visit, lesion) {
  const wanted = element("overlay").checked ? `${visit} ${lesion}` : null;
  if (view.overlay?.key === wanted) return;
  if (view.overlay) view.viewer.removeVolume(view.overlay.volume);
  view.overlay = null;
  if (!wanted) return;
  const volume = await view.viewer.addVolumeFromUrl({
    url: `masks/${visit}/${lesion}`, name: "mask.nii.gz", colormap: "green", opacity: MASK_OPACITY, cal_min: 0.5, cal_max: 1,
  });
  view.overlay = { key: wanted, volume };
}

async function showMasks() {
  const each = answer();
  if (each.source !== null) await showMask(given(), each.source, each.lesion);
  if (each.has_mask || found().overlay) await showMask(found(), each.visit, each.lesion);
}

async function showAnswer() {
  const each = answer();
  moved = null;
  const visit = session.visits[each.visit];
  await showVisit(found(), each.visit);
  nameView(found(), `${nameOf(each)} ${visit.date}`.trim());
  const place = each.decision?.point ?? each.point;
  show(found(), place ?? visit.centre_mm);
  describe();
  if (each.source !== null) {
    const source = session.visits[each.source];
    await showVisit(given(), each.source);
    nameView(given(), `Given at ${source.name} ${source.date}`.trim());
    show(given(), each.source_point ?? source.centre_mm);
    label(given(), "asked", "given", each.source_point ? millimetres(each.source_point) : "");
  }
  await showMasks();
  found().canvas.focus();
  document.body.dataset.shown = String(current);
}

function describe() {
  const each = answer();
  const parts = [each.point ? millimetres(each.point) : "no place in this scan", each.size, each.note].filter(Boolean);
  if (moved) parts.unshift(`moved to ${millimetres(moved)}, Enter keeps it`);
  const done = each.decision ? `${DONE[each.decision.action]}; ` : "";
  label(found(), toneOf(each), `${done}${each.state}, ${sureOf(each)} sure`, parts.join("; "));
  element("accept").textContent = moved ? "Keep it here (Enter)" : "Accept (Enter)";
  list();
}

// ---- decisions -------------------------------------------------------------------------------------------------

function move(view, at) {
  if (view !== found() || !session) {
    if (view.point) show(view, at); // one may look around in the given scan
    return;
  }
  view.point = at;
  moved = at;
  describe();
}

async function decide(action) {
  const each = answer();
  const request = { lesion: each.lesion, visit: each.visit, action };
  if (action === "move") request.point = moved;
  session.answers[current] = await ask("decide", request);
  say(`${nameOf(each)}: ${DONE[action]}. ${undecided() ? "" : "Every answer is decided."}`.trim());
  document.body.dataset.decided = String(Number(document.body.dataset.decided || 0) + 1);
  const after = session.answers.findIndex((other, number) => number > current && !other.decision);
  const open = after >= 0 ? after : session.answers.findIndex((other) => !other.decision);
  if (open >= 0) current = open;
  await showAnswer();
}

// What a key or a click asks for is done after what was asked before, so that fast readers are followed.
function then(action) {
  busy = busy.then(action).catch((error) => say(error.message, true));
  return busy;
}

const accept = () => then(() => decide(moved ? "move" : "accept"));
const reject = () => then(() => decide("reject"));
const go = (by) => then(() => {
  current = (current + by + session.answers.length) % session.answers.length;
  return showAnswer();
});

// ---- the list --------------------------------------------------------------------------------------------------

function list() {
  element("progress").textContent = `${session.answers.length - undecided()} of ${session.answers.length} decided`;
  const rows = session.answers.map((each, number) => {
    const row = document.createElement("tr");
    row.classList.toggle("correcting", number === current);
    if (number === current) row.setAttribute("aria-current", "true");
    const head = document.createElement("th");
    head.scope = "row";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = nameOf(each);
    button.addEventListener("click", () => then(() => { current = number; return showAnswer(); }));
    head.append(button);
    const decision = each.decision ? `${DONE[each.decision.action]} by ${each.decision.name}` : "";
    const cells = [each.state, sureOf(each), each.size, decision].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    });
    row.append(head, ...cells);
    return row;
  });
  element("answers").tBodies[0].replaceChildren(...rows);
}

// ---- setting up ------------------------------------------------------------------------------------------------

function setWindow(name) {
  element("window").value = name;
  views.forEach((view) => view.scan && setRange(view, name));
}

const KEYS = { enter: accept, a: accept, r: reject, b: () => go(-1), n: () => go(1), m: () => element("overlay").click() };

function onKey(event) {
  if (event.target.matches("input[type=text], select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "enter" && event.target.matches("button, input")) return; // a focused button does what it says
  if (STEPS[event.key]) {
    then(() => {
      const at = step(found(), event.key);
      show(found(), at);
      move(found(), at);
    });
  } else if (key === "escape") {
    then(() => showAnswer());
  } else if (KEYS[key]) {
    KEYS[key]();
  } else if ("1234".includes(event.key)) {
    setWindow(Object.keys(WINDOWS)[Number(event.key) - 1]);
  } else {
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
}

async function start() {
  session = await ask("session");
  element("title").textContent = `${session.patient}: confirm the answers, least sure first`;
  for (const id of [0, 1]) views.push(Object.assign(await newView(id, move), { loaded: new Map(), visit: null }));
  const first = session.answers.findIndex((each) => !each.decision);
  current = Math.max(first, 0);
  await showAnswer();
  element("window").addEventListener("change", (event) => setWindow(event.target.value));
  element("planes").addEventListener("change", (event) => views.forEach((view) => view.viewer.setSliceType(PLANES[event.target.value])));
  element("overlay").addEventListener("change", () => then(showMasks));
  for (const [id, action] of [["accept", accept], ["reject", reject], ["back", () => go(-1)], ["next", () => go(1)]])
    element(id).addEventListener("click", action);
  window.addEventListener("keydown", onKey, { capture: true });
  document.body.dataset.ready = "true";
  say(first < 0 ? "Every answer is decided." : `Decisions are kept as those of ${session.reader}.`);
}

start().catch((error) => say(`The page could not start: ${error.message}`, true));
