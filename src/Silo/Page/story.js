// A run's log, the newest line last. It follows its end until somebody scrolls up.

import { get } from './api.js';
import { el } from './dom.js';

export class Story {
  #next = 0;

  constructor(path) {
    this.path = path;
    this.element = el('ol', { class: 'story', tabindex: 0, 'aria-label': 'The run\'s log' });
  }

  async poll() {
    const page = await get(`${this.path}/log?from=${this.#next}`);
    if (page.lines.length === 0) return;
    const box = this.element, atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
    if (page.first > this.#next) box.append(el('li', { class: 'quiet' }, 'earlier lines are gone'));
    box.append(...page.lines.map(line => {
      const space = line.indexOf(' '), time = line.slice(0, space);
      return el('li', {}, el('time', { datetime: time }, new Date(time).toLocaleTimeString()), ' ', line.slice(space + 1));
    }));
    this.#next = page.next;
    if (atEnd) box.scrollTop = box.scrollHeight;
  }
}
