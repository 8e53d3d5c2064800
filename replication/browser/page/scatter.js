// Scatters of a table: density against bias, and the map by cluster. A region dragged on one filters the list.
"use strict";

const MARGINS = { density: { left: 52, right: 8, top: 8, bottom: 34 }, map: { left: 1, right: 1, top: 1, bottom: 1 } };
const DRAWN = { density: "Features by density, on a logarithmic axis, and encoder bias", map: "Map of the features by what they write, coloured by cluster" };
const NEAR = 14; // pixels within which a point is met

/** @typedef {{ x: number, y: number }} Place */

const scatters = /** @type {WeakMap<HTMLElement, Scatter>} */ (new WeakMap());

/** Draw the scatter that the route names, or none.
 *  @param {HTMLElement} host @param {Page} page @param {Index} index @param {Uint32Array} shown features that pass filters and search */
function drawScatter(host, page, index, shown) {
  const { panel } = page.route;
  let scatter = scatters.get(host);
  if (scatter?.panel !== panel) {
    scatter?.close();
    scatters.delete(host);
    scatter = undefined;
    host.replaceChildren();
  }
  if (!panel) return;
  if (!scatter) {
    const { x, y } = points(index, panel);
    if (!x.some((value, k) => Number.isFinite(value + y[k]))) {
      host.replaceChildren(make("p", { class: "map-note" }, `${index.entry.name} has no ${panel === "map" ? "map" : "encoder biases to draw"}.`));
      return;
    }
    scatter = new Scatter(host, page, index, panel);
    scatters.set(host, scatter);
  }
  scatter.show(shown);
}

class Scatter {
  /** @param {HTMLElement} host @param {Page} page @param {Index} index @param {"density" | "map"} panel */
  constructor(host, page, index, panel) {
    this.page = page;
    this.index = index;
    this.panel = panel;
    this.margin = MARGINS[panel];
    this.points = points(index, panel);
    this.shown = /** @type {Uint32Array} */ (new Uint32Array(0));
    this.extent = extent(this.points.x, this.points.y);
    this.width = this.height = 0;
    this.at = { x: new Float32Array(0), y: new Float32Array(0) }; // pixels
    this.frame = 0;
    this.from = /** @type {Place | null} */ (null);
    this.canvas = make("canvas", { class: "map-canvas", role: "img", "aria-label": `${DRAWN[panel]}; drag to select a region` });
    this.area = make("div", { class: "map-area", hidden: true });
    this.ring = make("div", { class: "map-ring", hidden: true });
    this.current = make("div", { class: "map-ring map-current", hidden: true });
    this.tip = make("div", { class: "map-tip", hidden: true });
    this.box = make("div", { class: "map-box" }, this.canvas, this.area, this.current, this.ring, this.tip);
    this.box.addEventListener("pointerdown", (event) => this.down(event));
    this.box.addEventListener("pointermove", (event) => this.move(event));
    this.box.addEventListener("pointerup", (event) => this.up(event));
    for (const end of ["pointercancel", "pointerleave"]) this.box.addEventListener(end, () => this.leave());
    this.note = make("span", { role: "status" });
    this.clear = make("button", { type: "button", onclick: () => page.go({ select: null, scroll: 0 }) }, "Clear region");
    host.replaceChildren(this.box, make("p", { class: "map-note" }, this.note, " ", this.clear));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.box);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.draw();
    this.scheme.addEventListener("change", this.recolour);
  }

  close() {
    this.resized.disconnect();
    this.scheme.removeEventListener("change", this.recolour);
  }

  /** @param {Uint32Array} shown */
  show(shown) {
    if (shown !== this.shown) {
      this.shown = shown;
      this.later();
    }
    const { select } = this.page.route;
    const [across, up] = this.panel === "map" ? ["x", "y"] : ["log10 density", "bias"];
    const [x0, y0, x1, y1] = (select ?? []).map(numeral);
    say(this.note, select
      ? `${across} ${x0} to ${x1}, ${up} ${y0} to ${y1}: ${counted(shown.length, "feature")} listed.`
      : "Drag over the points to select a region.");
    this.clear.hidden = !select;
    if (this.width) this.marks();
  }

  /** The open feature and the region. */
  marks() {
    const { feature, select } = this.page.route;
    this.place(this.current, feature);
    this.outline(select && { from: this.pixel(select[0], select[1]), to: this.pixel(select[2], select[3]) });
  }

  /** Where points are drawn, in pixels of the box. */
  plot() {
    const { left, right, top, bottom } = this.margin;
    return { left, top, bottom: this.height - bottom, right: this.width - right, width: this.width - left - right, height: this.height - top - bottom };
  }

  /** @param {number} x @param {number} y @returns {Place} */
  pixel(x, y) {
    const { left, bottom, width, height } = this.plot();
    const [x0, y0, x1, y1] = this.extent;
    return { x: left + ((x - x0) / (x1 - x0)) * width, y: bottom - ((y - y0) / (y1 - y0)) * height };
  }

  /** @param {Place} place @returns {[number, number]} */
  value(place) {
    const { left, bottom, width, height } = this.plot();
    const [x0, y0, x1, y1] = this.extent;
    return [x0 + ((place.x - left) / width) * (x1 - x0), y0 + ((bottom - place.y) / height) * (y1 - y0)];
  }

  /** Draw soon: what is chosen shows in the list first. */
  later() {
    this.frame ||= requestAnimationFrame(() => setTimeout(() => {
      this.frame = 0;
      if (this.box.isConnected) this.draw();
    }));
  }

  draw() {
    this.width = this.box.clientWidth;
    this.height = this.box.clientHeight;
    const { width, height } = this;
    const context = this.canvas.getContext("2d");
    if (!width || !height || !context) return;
    this.measure();
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const style = getComputedStyle(this.box);
    context.putImageData(this.image(context, ratio, style), 0, 0);
    this.axes(context, ratio, style);
    this.marks();
  }

  /** Where every point lies, in pixels. */
  measure() {
    const { x, y } = this.points;
    this.at = { x: new Float32Array(x.length), y: new Float32Array(x.length) };
    const none = this.pixel(0, 0), one = this.pixel(1, 1);
    for (let k = 0; k < x.length; k++) {
      this.at.x[k] = none.x + (one.x - none.x) * x[k];
      this.at.y[k] = none.y + (one.y - none.y) * y[k];
    }
  }

  /** The points, mixed into an image pixel by pixel: 131,072 of them take some ten milliseconds. Those that are not listed are faint and lie below.
   *  @param {CanvasRenderingContext2D} context @param {number} ratio @param {CSSStyleDeclaration} style */
  image(context, ratio, style) {
    /** @param {string} colour */
    const rgb = (colour) => {
      context.fillStyle = colour;
      return parseInt(String(context.fillStyle).slice(1), 16);
    };
    const paper = rgb(style.getPropertyValue("--paper")), grey = rgb(style.getPropertyValue("--faint")), plain = rgb(style.getPropertyValue("--accent"));
    const image = context.createImageData(this.canvas.width, this.canvas.height);
    new Uint32Array(image.data.buffer).fill(new Uint32Array(Uint8Array.of(paper >> 16, paper >> 8, paper, 255).buffer)[0]);
    const hues = /** @type {Map<number, number>} */ (new Map());
    for (const cluster of this.panel === "map" ? new Set(this.index.cluster) : []) {
      // the golden angle keeps neighbours apart
      hues.set(cluster, cluster < 0 ? grey : rgb(`hsl(${(cluster * 137.508) % 360} 70% ${this.scheme.matches ? 65 : 42}%)`));
    }
    const count = this.points.x.length, many = count > 20_000;
    const listed = new Uint8Array(count);
    for (const k of this.shown) listed[k] = 1;
    const disc = discOf((many ? 0.9 : 1.8) * ratio, image.width);
    for (const wanted of [0, 1]) {
      const share = (many ? 0.5 : 0.75) * (wanted ? 1 : 0.22);
      for (let k = 0; k < count; k++) {
        if (listed[k] !== wanted || Number.isNaN(this.at.x[k] + this.at.y[k])) continue;
        const colour = wanted ? hues.get(this.index.cluster[k]) ?? plain : grey;
        stamp(image, Math.floor(this.at.x[k] * ratio), Math.floor(this.at.y[k] * ratio), disc, colour, share);
      }
    }
    return image;
  }

  /** @param {CanvasRenderingContext2D} context @param {number} ratio @param {CSSStyleDeclaration} style */
  axes(context, ratio, style) {
    const { left, right, top, bottom, width, height } = this.plot();
    const [x0, y0, x1, y1] = this.extent;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.strokeStyle = style.getPropertyValue("--line");
    context.strokeRect(left + 0.5, top + 0.5, width, height);
    if (this.panel === "map") return; // a map's axes mean nothing
    context.fillStyle = style.getPropertyValue("--faint");
    context.font = `11px ${style.fontFamily}`;
    context.textAlign = "center";
    for (const tick of ticks(x0, x1, 5, 1)) {
      context.fillText(tick >= 0 ? String(10 ** tick) : `1e${String(tick).replace("-", "−")}`, this.pixel(tick, y0).x, bottom + 14);
    }
    context.fillText("density", (left + right) / 2, this.height - 6);
    context.textAlign = "right";
    for (const tick of ticks(y0, y1, 5, 0)) context.fillText(numeral(tick), left - 5, this.pixel(x0, tick).y + 4);
    context.save();
    context.translate(10, (top + bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText("bias", 0, 0);
    context.restore();
  }

  /** The nearest point that is listed. @param {Place} place @returns {number | null} */
  nearest(place) {
    let best = NEAR ** 2, found = /** @type {number | null} */ (null);
    for (const k of this.shown) {
      const distance = (this.at.x[k] - place.x) ** 2 + (this.at.y[k] - place.y) ** 2;
      if (distance <= best) [best, found] = [distance, k];
    }
    return found;
  }

  /** @param {PointerEvent} event @returns {Place} */
  where(event) {
    const { left, top } = this.box.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button) return;
    this.box.setPointerCapture(event.pointerId);
    this.from = this.where(event);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const place = this.where(event);
    if (this.from) {
      if (this.dragged(place)) this.outline({ from: this.from, to: place });
      return;
    }
    const found = this.nearest(place);
    this.place(this.ring, found);
    this.tip.hidden = found === null;
    this.box.classList.toggle("map-meets", found !== null);
    if (found === null) return;
    this.tip.replaceChildren(make("b", {}, found), ` ${featureName(this.page, this.index, found)}`);
    this.tip.style.top = `${place.y + 14}px`;
    this.tip.style.left = `${Math.max(0, Math.min(place.x + 10, this.width - this.tip.offsetWidth - 2))}px`;
  }

  /** @param {Place} place */
  dragged(place) {
    return this.from !== null && Math.hypot(place.x - this.from.x, place.y - this.from.y) > 5;
  }

  /** @param {PointerEvent} event */
  up(event) {
    const { from } = this;
    const place = this.where(event);
    const dragged = this.dragged(place);
    this.from = null;
    if (!from) return;
    if (dragged) {
      const [ax, ay] = this.value(from), [bx, by] = this.value(place);
      this.page.go({ select: [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)], scroll: 0 });
      return;
    }
    const feature = this.nearest(place);
    if (feature !== null) this.page.go({ feature });
  }

  leave() {
    this.ring.hidden = true;
    this.tip.hidden = true;
    if (!this.from) return;
    this.from = null;
    this.marks();
  }

  /** @param {HTMLElement} mark @param {number | null} feature */
  place(mark, feature) {
    mark.hidden = feature === null || !Number.isFinite(this.at.x[feature] + this.at.y[feature]);
    if (feature === null || mark.hidden) return;
    mark.style.left = `${this.at.x[feature]}px`;
    mark.style.top = `${this.at.y[feature]}px`;
  }

  /** @param {{ from: Place, to: Place } | null} region */
  outline(region) {
    this.area.hidden = !region;
    if (!region) return;
    const plot = this.plot();
    /** @param {number} value @param {number} low @param {number} high */
    const within = (value, low, high) => Math.min(high, Math.max(low, value));
    const [left, right] = [region.from.x, region.to.x].map((x) => within(x, plot.left, plot.right)).sort((a, b) => a - b);
    const [top, bottom] = [region.from.y, region.to.y].map((y) => within(y, plot.top, plot.bottom)).sort((a, b) => a - b);
    Object.assign(this.area.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  }
}

/** A disc as offsets into an image and how much of each pixel it covers. @param {number} radius @param {number} width */
function discOf(radius, width) {
  const reach = Math.ceil(radius);
  const found = /** @type {{ offset: number, covered: number, column: number, row: number }[]} */ ([]);
  for (let row = -reach; row <= reach; row++) {
    for (let column = -reach; column <= reach; column++) {
      const covered = Math.min(1, radius + 0.5 - Math.hypot(column, row));
      if (covered > 0) found.push({ offset: 4 * (row * width + column), covered, column, row });
    }
  }
  return found;
}

/** Mix a disc into an image.
 *  @param {ImageData} image @param {number} x @param {number} y @param {ReturnType<typeof discOf>} disc @param {number} colour @param {number} share */
function stamp({ data, width, height }, x, y, disc, colour, share) {
  const centre = 4 * (y * width + x);
  for (const { offset, covered, column, row } of disc) {
    if (x + column < 0 || x + column >= width || y + row < 0 || y + row >= height) continue;
    const place = centre + offset, part = covered * share;
    data[place] += ((colour >> 16) - data[place]) * part;
    data[place + 1] += (((colour >> 8) & 255) - data[place + 1]) * part;
    data[place + 2] += ((colour & 255) - data[place + 2]) * part;
  }
}

/** Smallest and largest values of points that have both, with some room.
 *  @param {Float32Array} x @param {Float32Array} y @returns {[number, number, number, number]} */
function extent(x, y) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let k = 0; k < x.length; k++) {
    if (!Number.isFinite(x[k] + y[k])) continue;
    x0 = Math.min(x0, x[k]);
    x1 = Math.max(x1, x[k]);
    y0 = Math.min(y0, y[k]);
    y1 = Math.max(y1, y[k]);
  }
  const [roomX, roomY] = [(x1 - x0 || 1) * 0.03, (y1 - y0 || 1) * 0.03];
  return [x0 - roomX, y0 - roomY, x1 + roomX, y1 + roomY];
}

/** Round numbers between two, about so many, no closer than `least`. @param {number} low @param {number} high @param {number} wanted @param {number} least */
function ticks(low, high, wanted, least) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) || 10));
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}
