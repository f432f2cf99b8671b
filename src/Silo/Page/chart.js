// A line over steps, with a mark where a generation begins. Drawn as SVG, so that the stylesheet colours it in the dark too.

import { el, say, svg } from './dom.js';
import { tick } from './words.js';

const HEIGHT = 190, LEFT = 56, RIGHT = 12, TOP = 10, BOTTOM = 24;

export class Chart {
  #points = [];
  #marks = [];
  #svg = svg('svg', { role: 'img', height: HEIGHT });
  #readout = el('output');
  #cursor = null;

  /** @param format of a value, for people */
  constructor(title, format, { fromZero = false } = {}) {
    Object.assign(this, { title, format, fromZero });
    this.element = el('figure', {}, el('figcaption', {}, el('span', {}, title), this.#readout), this.#svg);
    this.#svg.addEventListener('pointermove', event => this.#read(event));
    this.#svg.addEventListener('pointerleave', () => this.#rest());
    this.resizing = new ResizeObserver(() => this.#draw());
    this.resizing.observe(this.element);
  }

  /** @param marks steps where a generation begins, each {step, label} */
  show(steps, values, marks) {
    this.#points = steps.map((step, i) => ({ step, value: Number(values[i]) })); // "NaN" is what a diverged run says
    this.#marks = marks;
    this.#draw();
  }

  #draw() {
    const width = this.element.clientWidth, finite = this.#points.filter(p => Number.isFinite(p.value));
    this.#svg.setAttribute('aria-label', this.#inWords(finite));
    if (width === 0) return;
    this.#svg.setAttribute('width', width);
    this.#svg.replaceChildren();
    this.#cursor = null;
    if (finite.length > 0) this.#drawLine(finite, width);
    else this.#svg.append(svg('text', { x: width / 2, y: HEIGHT / 2, 'text-anchor': 'middle', class: 'axis' }, 'no steps yet'));
    this.#rest();
  }

  #drawLine(finite, width) {
    const values = finite.map(p => p.value), [first, last] = [finite[0].step, finite.at(-1).step];
    let [low, high] = [this.fromZero ? 0 : Math.min(...values), Math.max(...values)];
    if (low === high) [low, high] = [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1];
    const bottom = HEIGHT - BOTTOM, right = width - RIGHT;
    this.x = step => last === first ? (LEFT + right) / 2 : LEFT + (step - first) / (last - first) * (right - LEFT);
    this.y = value => bottom - (value - low) / (high - low) * (bottom - TOP);
    const add = (name, attributes, ...children) => this.#svg.append(svg(name, attributes, ...children));
    const yTicks = ticks(low, high, 4), xTicks = ticks(first, last, Math.max(2, width / 110), true);
    for (const value of yTicks.at) {
      add('line', { x1: LEFT, x2: right, y1: this.y(value), y2: this.y(value), class: 'grid' });
      add('text', { x: LEFT - 6, y: this.y(value) + 4, 'text-anchor': 'end', class: 'axis' }, tick(value, yTicks.step));
    }
    for (const value of xTicks.at) add('text', { x: this.x(value), y: HEIGHT - 6, 'text-anchor': 'middle', class: 'axis' }, String(value));
    for (const mark of this.#marks.filter(m => m.step > first && m.step <= last)) {
      const line = svg('line', { x1: this.x(mark.step), x2: this.x(mark.step), y1: TOP, y2: bottom, class: 'mark' });
      line.append(svg('title', {}, mark.label));
      this.#svg.append(line);
    }
    let pen = 'M'; // lifted over what is no number
    const path = this.#points.map(({ step, value }) => {
      if (!Number.isFinite(value)) return (pen = 'M', '');
      const piece = `${pen}${this.x(step).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = 'L';
      return piece;
    }).join('');
    add('path', { d: path, class: 'line' });
    if (finite.length === 1) add('circle', { cx: this.x(first), cy: this.y(values[0]), r: 3, class: 'dot' });
  }

  #read(event) {
    if (this.#points.length === 0 || !this.x) return;
    const at = event.clientX - this.#svg.getBoundingClientRect().left;
    const point = this.#points.reduce((best, p) => Math.abs(this.x(p.step) - at) < Math.abs(this.x(best.step) - at) ? p : best);
    this.#cursor?.remove();
    this.#cursor = svg('line', { x1: this.x(point.step), x2: this.x(point.step), y1: TOP, y2: HEIGHT - BOTTOM, class: 'cursor' });
    this.#svg.append(this.#cursor);
    say(this.#readout, `${this.format(point.value)} at step ${point.step}`);
  }

  #rest() {
    this.#cursor?.remove();
    this.#cursor = null;
    say(this.#readout, this.#points.length > 0 ? this.format(this.#points.at(-1).value) : '');
  }

  #inWords(finite) {
    if (finite.length === 0) return `${this.title}: no steps yet`;
    const lowest = finite.reduce((a, b) => b.value < a.value ? b : a), highest = finite.reduce((a, b) => b.value > a.value ? b : a);
    const say = p => `${this.format(p.value)} at step ${p.step}`;
    const marks = this.#marks.map(m => `; ${m.label}`).join('');
    return `${this.title}: first ${say(finite[0])}, last ${say(finite.at(-1))}, lowest ${say(lowest)}, highest ${say(highest)}${marks}`;
  }
}

/** Round values in a range, about so many. */
function ticks(low, high, count, whole = false) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough || 1));
  let step = [1, 2, 5, 10].map(f => f * power).findLast(s => s <= rough * 1.3) ?? power;
  if (whole) step = Math.max(1, Math.round(step));
  const at = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) at.push(i * step);
  return { at, step };
}
