// What the pages share: requests to the server, and views of scans with a crosshair.
import { Niivue, SLICE_TYPE } from "./niivue.js";

export const WINDOWS = { soft: [-160, 240], lung: [-1350, 150], bone: [-450, 1050], full: null };
export const PLANES = { multi: SLICE_TYPE.MULTIPLANAR, axial: SLICE_TYPE.AXIAL, coronal: SLICE_TYPE.CORONAL, sagittal: SLICE_TYPE.SAGITTAL };
export const STEPS = { ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1] };
const CROSSHAIRS = { asked: [1, 0.88, 0.3, 1], found: [0.3, 0.9, 0.5, 1], review: [1, 0.65, 0.15, 1], unknown: [1, 0.65, 0.15, 1], out_of_view: [0.6, 0.6, 0.6, 0.45], failed: [1, 0.4, 0.4, 0.45] };
const CROSSHAIR_MM = 1.2, CROSSHAIR_PIXELS = 1.5;
const MOVED_MM = 1e-3; // less is rounding of the viewer's own

export const element = (id) => document.getElementById(id);
export const millimetres = (point) => point.map((value) => value.toFixed(1)).join(", ");

export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const reply = await fetch(path, options);
  const content = await reply.json();
  if (!reply.ok) throw new Error(content.error);
  return content;
}

async function contentOf(path) {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error((await reply.json()).error);
  return reply.arrayBuffer();
}

export function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

// A view is {scan, viewer, node, canvas, point}: a scan with the place that its crosshair shows.
export function show(view, point) {
  view.point = point;
  view.viewer.scene.crosshairPos = view.viewer.mm2frac(new Float32Array(point));
  view.viewer.drawScene();
}

export const step = (view, key) => view.point.map((value, axis) => value + STEPS[key][axis] * view.scan.step_mm[axis]);

export function setRange(view, name) {
  const volume = view.viewer.volumes[0];
  const range = view.scan.modality === "ct" ? WINDOWS[name] : null;
  [volume.cal_min, volume.cal_max] = range ?? [volume.robust_min, volume.robust_max];
  view.viewer.updateGLVolume();
}

// Crosshairs have a width in mm: in a wide scan they would be thinner than a pixel and vanish where they miss its middle.
function keepCrosshairsSeen(viewer) {
  const draw = viewer.drawScene.bind(viewer);
  viewer.drawScene = () => {
    const drawn = draw();
    const pixels = viewer.screenSlices.map((slice) => Math.abs(slice.fovMM[0] / slice.leftTopWidthHeight[2])); // in mm
    const width = Math.max(CROSSHAIR_MM, ...pixels.filter(Number.isFinite).map((pixel) => CROSSHAIR_PIXELS * pixel));
    if (width !== viewer.opts.crosshairWidth) viewer.setCrosshairWidth(width);
    return drawn;
  };
}

// Add a view to the page; `whenMoved` is called with the place of every click in it.
export async function newView(id, whenMoved) {
  const node = element("view-template").content.firstElementChild.cloneNode(true);
  element("views").append(node);
  const canvas = node.querySelector("canvas");
  canvas.id = `scan-${id}`;
  canvas.setAttribute("role", "application");
  const answer = node.querySelector(".answer");
  answer.id = `answer-${id}`;
  canvas.setAttribute("aria-describedby", answer.id);
  const viewer = new Niivue({
    isRadiologicalConvention: true, crosshairColor: [1, 0.75, 0.1, 1], crosshairWidth: CROSSHAIR_MM, crosshairWidthUnit: "mm", crosshairGap: 8, fontColor: [0.9, 0.9, 0.9, 1], backColor: [0, 0, 0, 1],
    show3Dcrosshair: false, multiplanarShowRender: 0, dragAndDropEnabled: false, logLevel: "error", isOrientCube: false,
  });
  keepCrosshairsSeen(viewer);
  await viewer.attachToCanvas(canvas);
  const view = { scan: null, viewer, node, canvas, point: null, overlay: null };
  viewer.onLocationChange = (location) => {
    if (!view.point) return;
    const at = Array.from(location.mm).slice(0, 3);
    const moved = Math.max(...at.map((value, axis) => Math.abs(value - view.point[axis])));
    if (moved > MOVED_MM) whenMoved(view, at);
  };
  return view;
}

export function nameView(view, name) {
  view.node.querySelector("h3").textContent = name;
  view.canvas.setAttribute("aria-label", `Slices of ${name}; arrow keys and page keys move the crosshair`);
}

export async function loadScan(view, scan) {
  await view.viewer.loadFromArrayBuffer(await contentOf(scan.url), scan.file_name);
  view.scan = scan;
  view.viewer.setSliceType(PLANES[element("planes").value]);
}

export function label(view, tone, word, text) {
  const badge = view.node.querySelector(".badge");
  badge.hidden = false;
  badge.className = `badge ${tone}`;
  badge.textContent = word;
  view.viewer.setCrosshairColor(CROSSHAIRS[tone]);
  view.node.querySelector(".answer").textContent = text;
}
