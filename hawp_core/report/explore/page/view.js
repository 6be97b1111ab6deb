// A photograph with its lines, drawn anew at every change: fitted, or enlarged with the wheel and moved by hand.

const WIDTH = 1.8, RIM = 1.6, DOT = 2.1; // screen pixels of a line, of its dark rim on both sides, and radius of an end
const NEAR = 7; // screen pixels from a line that the pointer is at it
const LARGEST_ZOOM = 40, MARGIN = 10;

export class View {
  // `changed` is called when more or fewer screen pixels show a photograph's pixel; `hover` with the line at the pointer, or null.
  constructor(canvas, changed, hover) {
    Object.assign(this, {canvas, changed, hover, photograph: null, picture: null, groups: [], ends: true, lit: null});
    this.context = canvas.getContext("2d");
    this.whole();
    new ResizeObserver(() => { this.fit(); this.draw(); changed(); }).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event), {passive: false});
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.release());
    canvas.addEventListener("pointercancel", () => this.release());
    canvas.addEventListener("pointerleave", () => this.light(null));
    canvas.addEventListener("dblclick", () => { this.whole(); this.draw(); changed(); });
  }

  // Groups are {lines, scores, colour, dashed}, the first one undermost.
  show(photograph, picture, groups) {
    const other = photograph?.name !== this.photograph?.name;
    Object.assign(this, {photograph, picture, groups, lit: null});
    if (other) this.whole();
    this.fit();
    this.draw();
  }

  whole() {
    Object.assign(this, {zoom: 1, x: 0, y: 0});
  }

  fit() {
    const ratio = window.devicePixelRatio, box = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    Object.assign(this, {ratio, across: box.width, down: box.height});
  }

  // Screen pixels of a photograph's pixel.
  get scale() {
    if (!this.photograph) return 1;
    const {width, height} = this.photograph;
    return this.zoom * Math.max(0.001, Math.min((this.across - 2 * MARGIN) / width, (this.down - 2 * MARGIN) / height));
  }

  // Where the photograph's corner lies on the screen.
  get corner() {
    const {width, height} = this.photograph;
    return [(this.across - width * this.scale) / 2 + this.x, (this.down - height * this.scale) / 2 + this.y];
  }

  draw() {
    const {context, ratio} = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.photograph) return;
    const {width, height} = this.photograph, [left, top] = this.corner, scale = this.scale;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.picture) {
      context.imageSmoothingEnabled = scale * ratio < 4;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.picture, left, top, width * scale, height * scale);
    } else {
      context.strokeStyle = "#888";
      context.strokeRect(left, top, width * scale, height * scale);
    }
    for (const group of this.groups) this.stroke(group.lines, group.colour, group.dashed);
    if (this.ends) this.dots(this.groups.filter((group) => !group.dashed));
    if (this.lit) this.stroke([this.lit.line], "#ffffff", false, 2);
  }

  // The centre of the first pixel is (0, 0), half a pixel from its corner.
  place([x, y]) {
    const [left, top] = this.corner;
    return [left + (x + 0.5) * this.scale, top + (y + 0.5) * this.scale];
  }

  stroke(lines, colour, dashed, wider = 0) {
    const path = new Path2D(), {context} = this;
    for (const [x1, y1, x2, y2] of lines) {
      path.moveTo(...this.place([x1, y1]));
      path.lineTo(...this.place([x2, y2]));
    }
    context.lineCap = "round";
    context.setLineDash([]);
    for (const [style, width] of [["rgba(16, 16, 16, 0.6)", WIDTH + RIM], [colour, WIDTH]]) {
      if (dashed) context.setLineDash([6, 5]);
      context.strokeStyle = style;
      context.lineWidth = width + wider;
      context.stroke(path);
    }
    context.setLineDash([]);
  }

  dots(groups) {
    const {context} = this;
    const ends = new Set(groups.flatMap(({lines}) => lines.flatMap(([x1, y1, x2, y2]) => [`${x1} ${y1}`, `${x2} ${y2}`])));
    const path = new Path2D();
    for (const end of ends) {
      const [x, y] = this.place(end.split(" ").map(Number));
      path.moveTo(x + DOT, y);
      path.arc(x, y, DOT, 0, 2 * Math.PI);
    }
    context.fillStyle = "#ffffff";
    context.strokeStyle = "#141414";
    context.lineWidth = 1.6;
    context.stroke(path);
    context.fill(path);
  }

  wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    const before = this.zoom, middle = [event.clientX - box.left - this.across / 2, event.clientY - box.top - this.down / 2];
    this.zoom = Math.min(LARGEST_ZOOM, Math.max(1, this.zoom * Math.exp(-event.deltaY / 400)));
    // What is under the pointer stays there.
    this.x = middle[0] - (middle[0] - this.x) * this.zoom / before;
    this.y = middle[1] - (middle[1] - this.y) * this.zoom / before;
    if (this.zoom === 1) this.whole();
    this.draw();
    this.changed();
  }

  grab(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.classList.add("dragged");
    this.from = [event.clientX - this.x, event.clientY - this.y];
  }

  release() {
    this.canvas.classList.remove("dragged");
    this.from = null;
  }

  move(event) {
    if (this.from) {
      if (this.zoom > 1) [this.x, this.y] = [event.clientX - this.from[0], event.clientY - this.from[1]];
      this.draw();
      return;
    }
    if (!this.photograph) return;
    const box = this.canvas.getBoundingClientRect();
    this.light(this.nearest(event.clientX - box.left, event.clientY - box.top));
  }

  light(found) {
    if (found?.line === this.lit?.line) return;
    this.lit = found;
    this.hover(found);
    this.draw();
  }

  nearest(x, y) {
    let best = null, least = NEAR;
    for (const {lines, scores} of this.groups) {
      lines.forEach((line, i) => {
        const away = distance(x, y, ...this.place(line.slice(0, 2)), ...this.place(line.slice(2)));
        if (away < least) [best, least] = [{line, score: scores[i]}, away];
      });
    }
    return best;
  }
}

function distance(x, y, x1, y1, x2, y2) {
  const dx = x2 - x1, dy = y2 - y1;
  const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
}
