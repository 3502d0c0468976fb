// Circles around an answer in its slices: within each so many of a hundred true places lie.

const IN_PLANE = [[0, 1], [0, 2], [1, 2]]; // world axes across and up an axial, a coronal and a sagittal slice

/** Return where a circle of millimetres lies in one drawn slice, in pixels of the canvas. */
function placed(slice, point, radius) {
  const [left, top, width, height] = slice.leftTopWidthHeight;
  const [across, up] = IN_PLANE[slice.axCorSag].map((axis, side) => (point[axis] - slice.leftTopMM[side]) / slice.fovMM[side]);
  return { x: left + across * width, y: top + (1 - up) * height, r: Math.abs((radius / slice.fovMM[0]) * width) };
}

/** Draw circles of some radii in mm around a point over every slice of a viewer; none without a point. */
export function drawCircles(frame, viewer, point, radii) {
  const canvas = viewer.canvas;
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("class", "circles");
  drawing.setAttribute("viewBox", `0 0 ${canvas.width} ${canvas.height}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  const slices = point ? viewer.screenSlices.filter((slice) => slice.axCorSag in IN_PLANE) : [];
  for (const slice of slices) {
    for (const radius of radii) {
      const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      const { x, y, r } = placed(slice, point, radius);
      for (const [name, value] of Object.entries({ cx: x, cy: y, r })) circle.setAttribute(name, value.toFixed(1));
      drawing.append(circle);
    }
  }
  frame.querySelector(".circles")?.remove();
  frame.append(drawing);
}
