// Held-out pages with what the model said to them before training and after it. Pages are fetched when they come into view.

import { get, image } from './api.js';
import { el, say, sync } from './dom.js';
import { DASH, number } from './words.js';

const PAGE = 12;

export class PredictionCards {
  #wanted = PAGE;
  #seen = null; // the scores that what is shown belongs to
  #urls = [];

  constructor(path) {
    this.path = path;
    this.summary = el('p', { class: 'quiet' });
    this.cards = el('ul', { class: 'cards' });
    this.more = el('button', { type: 'button', hidden: '', click: () => this.#showMore() }, 'Show more');
    this.element = el('div', {}, this.summary, this.cards, this.more);
    this.views = new IntersectionObserver(entries => entries.filter(e => e.isIntersecting).forEach(e => {
      this.views.unobserve(e.target);
      this.#load(e.target);
    }), { rootMargin: '200px' });
  }

  /** Evaluations are seldom: only where the run's scores are others than those shown. */
  async poll(run) {
    const now = `${run.eval_before} ${run.eval_after}`;
    if (now === this.#seen) return;
    await this.#show();
    this.#seen = now;
  }

  close() {
    this.views.disconnect();
    this.#urls.forEach(url => URL.revokeObjectURL(url));
  }

  async #showMore() {
    this.#wanted += PAGE;
    await this.#show();
  }

  async #show() {
    const reply = await get(`${this.path}/predictions?count=${this.#wanted}`);
    say(this.summary, reply.problem ?? (reply.total === 0 ? 'No evaluation yet.'
      : `${reply.metric}: ${number(reply.eval_before, 3)} before training, ${number(reply.eval_after, 3)} after it, `
        + `over ${reply.total} samples.`));
    sync(this.cards, reply.samples, s => s.index, sample => this.#card(sample));
    this.more.hidden = reply.samples.length >= reply.total;
  }

  #card(sample) {
    const picture = el('div', { class: 'picture' }), question = el('p', { class: 'question' }, sample.id);
    const [before, after] = [el('dd'), el('dd')];
    const element = el('li', { 'data-index': sample.index }, picture, question, el('dl', {},
      el('dt', {}, 'Answer'), el('dd', {}, sample.answers.join(' / ')), el('dt', {}, 'Before'), before, el('dt', {}, 'After'), after));
    this.views.observe(element);
    return [element, newest => {
      show(before, newest.before);
      show(after, newest.after);
    }];
  }

  async #load(card) {
    const at = `${this.path}/samples/${card.dataset.index}`, picture = card.querySelector('.picture');
    try {
      const sample = await get(at);
      say(card.querySelector('.question'), sample.question);
      if (sample.images === 0) picture.hidden = true;
      for (let i = 0; i < sample.images; i++) {
        const url = await image(`${at}/images/${i}`);
        this.#urls.push(url);
        picture.append(el('img', { src: url, alt: `Page ${i + 1} of sample ${sample.id}` }));
      }
    } catch (error) {
      say(picture, error.message);
    }
  }
}

/** What was said, and its score; green is said by a mark too. */
function show(cell, said) {
  if (!said) return say(cell, DASH);
  const [text, score] = cell.children.length === 2 ? cell.children : (cell.replaceChildren(el('q'), el('span')), cell.children);
  say(text, said.prediction ?? '');
  text.hidden = said.prediction === null;
  say(score, said.score === null ? `loss ${number(said.loss)}` : `${said.score >= 0.5 ? '✓' : '✗'} ${number(said.score, 2)}`);
  score.className = said.score === null ? 'score' : `score ${said.score >= 0.5 ? 'good' : 'bad'}`;
}
