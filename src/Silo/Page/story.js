// A run's log, the newest line last. It follows its end until somebody scrolls up.

import { get } from './api.js';
import { el } from './dom.js';

export class Story {
  #next = 0;
  #follows = true;

  constructor(path) {
    this.path = path;
    this.element = el('ol', { class: 'story', tabindex: 0, 'aria-label': 'The run\'s log' });
    const box = this.element;
    box.addEventListener('scroll', () => this.#follows = box.scrollTop + box.clientHeight >= box.scrollHeight - 4);
    new ResizeObserver(() => this.#toEnd()).observe(box); // when it is shown first, too
  }

  async poll() {
    const page = await get(`${this.path}/log?from=${this.#next}`);
    if (page.lines.length === 0) return;
    const box = this.element;
    if (page.first > this.#next) box.append(el('li', { class: 'quiet' }, 'earlier lines are gone'));
    box.append(...page.lines.map(line => {
      const space = line.indexOf(' '), time = line.slice(0, space);
      return el('li', {}, el('time', { datetime: time }, new Date(time).toLocaleTimeString()), ' ', line.slice(space + 1));
    }));
    this.#next = page.next;
    this.#toEnd();
  }

  #toEnd() {
    if (this.#follows) this.element.scrollTop = this.element.scrollHeight;
  }
}
