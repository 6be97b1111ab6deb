// The photographs of a round: filtered, sorted, and drawn only where the list is scrolled to, so that there may be many thousands.

const HEIGHT = 28; // pixels of a row, as page.css has it
const BEYOND = 6; // rows drawn above and below what is seen

export class List {
  // `pick` is called with the row, in the order of the label file, of a photograph that somebody chose.
  constructor(element, rows, pick) {
    Object.assign(this, {element, rows, pick, names: [], lines: [], agreement: [], order: [], chosen: null});
    this.criteria = {name: "", lines: [0, Infinity], agreement: [0, 100]};
    this.sort = {by: "name", down: false};
    element.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
    rows.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) pick(Number(row.dataset.row));
    });
  }

  show(listing) {
    Object.assign(this, {names: listing.names, lines: listing.lines, agreement: listing.agreement ?? []});
    this.arrange();
  }

  arrange() {
    const {name, lines, agreement} = this.criteria;
    const word = name.toLowerCase();
    const anyAgreement = agreement[0] <= 0 && agreement[1] >= 100;
    this.order = [...this.names.keys()].filter((row) => {
      const share = this.agreement[row];
      return this.names[row].toLowerCase().includes(word)
        && this.lines[row] >= lines[0] && this.lines[row] <= lines[1]
        && (anyAgreement || (share != null && 100 * share >= agreement[0] && 100 * share <= agreement[1]));
    });
    const compare = {
      name: (a, b) => (this.names[a] < this.names[b] ? -1 : 1),
      lines: (a, b) => this.lines[a] - this.lines[b] || a - b,
      agreement: (a, b) => this.agreement[a] - this.agreement[b] || a - b,
    }[this.sort.by];
    const known = this.sort.by === "agreement" ? (row) => this.agreement[row] != null : () => true;
    const sorted = this.order.filter(known).sort(compare);
    if (this.sort.down) sorted.reverse();
    // Without a number last, whichever way the others go.
    this.order = [...sorted, ...this.order.filter((row) => !known(row))];
    this.rows.style.height = `${this.order.length * HEIGHT}px`;
    this.draw();
  }

  choose(row) {
    this.chosen = row;
    const place = this.order.indexOf(row);
    if (place >= 0) {
      const top = place * HEIGHT, {scrollTop, clientHeight} = this.element;
      if (top < scrollTop) this.element.scrollTop = top - HEIGHT;
      if (top + HEIGHT > scrollTop + clientHeight) this.element.scrollTop = top + 2 * HEIGHT - clientHeight;
    }
    this.draw();
  }

  // The row so many steps on, in the order that is shown; null at either end.
  beside(steps) {
    const place = this.order.indexOf(this.chosen);
    return this.order[place < 0 ? 0 : place + steps] ?? null;
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / HEIGHT) - BEYOND);
    const last = Math.ceil((this.element.scrollTop + this.element.clientHeight) / HEIGHT) + BEYOND;
    this.rows.replaceChildren(...this.order.slice(first, last).map((row, i) => this.row(row, (first + i) * HEIGHT)));
    if (this.order.includes(this.chosen)) this.element.setAttribute("aria-activedescendant", `row-${this.chosen}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  // Names are text: nothing here is ever read as HTML.
  row(row, top) {
    const name = this.names[row], share = this.agreement[row], cut = name.lastIndexOf("/") + 1;
    const element = make("div", "row");
    element.id = `row-${row}`;
    element.dataset.row = row;
    element.style.top = `${top}px`;
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", row === this.chosen);
    const label = make("span", "name");
    label.title = name;
    label.append(make("span", "folder", name.slice(0, cut)), name.slice(cut));
    const agreement = make("span", "share"), bar = make("span", "bar"), filled = make("i");
    filled.style.width = `${100 * (share ?? 0)}%`;
    bar.append(filled);
    agreement.append(bar, make("span", "", share == null ? "–" : `${Math.round(100 * share)} %`));
    bar.hidden = share == null;
    if (bar.hidden) agreement.prepend(make("span"));
    element.append(label, make("span", "lines", String(this.lines[row])), agreement);
    return element;
  }
}

export function make(kind, style = "", text = "") {
  const element = document.createElement(kind);
  if (style) element.className = style;
  if (text) element.textContent = text;
  return element;
}
