// One run: where it is, its curves, its ranks, how its generations came about, its story, and what it says to held-out pages.

import { get, id, post } from './api.js';
import { Chart } from './chart.js';
import { confirm } from './confirm.js';
import { el, say, table, textCell } from './dom.js';
import { section, stateCell } from './overview.js';
import { PredictionCards } from './predictions.js';
import { Story } from './story.js';
import * as words from './words.js';

const MOST_POINTS = 1500, FIRST_POINTS = 600;

export class RunView {
  #steps = null; // columns, as the API has them
  #generation = null;

  constructor(access, run) {
    Object.assign(this, { run, path: `/runs/${id(run)}`, title: `${run} – Phi3VCluster` });
    this.state = el('p', { class: 'status' });
    this.showState = stateCell(this.state);
    this.bar = el('progress', { max: 1, 'aria-label': 'Progress' });
    this.progress = el('small');
    this.facts = el('dl', { class: 'facts' });
    this.charts = [
      [new Chart('Loss', v => words.number(v)), 'loss'],
      [new Chart('Images per second', v => words.number(v, 1), { fromZero: true }), 'images_per_second'],
      [new Chart('Learning rate', v => Number(v).toExponential(2), { fromZero: true }), 'learning_rate'],
    ];
    this.noSteps = el('p', { class: 'quiet' });
    this.nodes = table('Ranks by node', [
      { title: 'Node', cell: textCell(n => n.node) },
      { title: 'Ranks', cell: textCell(n => n.ranks.join(', ')) },
      { title: 'Silo', cell: textCell(n => n.silo.split('@')[0]) },
    ]);
    this.generations = table('Generations', [
      { title: 'Generation', cell: textCell(g => String(g.generation)) },
      { title: 'Ranks', kind: 'number', cell: textCell(g => String(g.world_size)) },
      { title: 'From step', kind: 'number', cell: textCell(g => String(g.first_step)) },
      { title: 'Formed in', kind: 'number', cell: textCell(g => words.duration(g.seconds)) },
      { title: 'Cause', cell: textCell(g => g.cause) },
    ]);
    this.story = new Story(this.path);
    this.predictions = new PredictionCards(this.path);
    this.cancel = el('button', { type: 'button', class: 'danger', hidden: '', click: () => this.#ask() }, 'Cancel the run');
    this.mayCancel = access.role === 'operator';
    this.element = el('div', {},
      el('p', {}, el('a', { href: '#/' }, '← All runs')),
      el('div', { class: 'title' }, el('h1', {}, run), this.cancel),
      this.state, this.bar, this.progress, this.facts,
      section('Curves', this.noSteps, el('div', { class: 'charts' }, ...this.charts.map(([chart]) => chart.element))),
      el('div', { class: 'pair' }, section('Ranks by node', this.nodes.element), section('Generations', this.generations.element)),
      section('Story', this.story.element),
      section('Predictions', this.predictions.element));
  }

  async poll() {
    const run = await get(this.path);
    this.showState(run);
    const { share, words: done } = words.progress(run);
    this.bar.value = share;
    say(this.progress, done);
    this.cancel.hidden = !this.mayCancel || words.isOver(run);
    this.#showFacts(run);
    this.nodes.show(run.nodes, n => n.silo);
    this.generations.show(run.generations.toReversed(), g => g.generation);
    await Promise.all([this.#pollSteps(run), this.story.poll(), this.predictions.poll(run)]);
  }

  close() {
    this.predictions.close();
    for (const [chart] of this.charts) chart.resizing.disconnect();
  }

  #showFacts(run) {
    const facts = [
      ['Epochs done', `${run.epoch} of ${run.epochs}`],
      ['Loss', words.number(run.loss)],
      ['Gradient norm', words.number(run.grad_norm, 3)],
      ['Images/s', words.number(run.images_per_second, 1)],
      ['Ranks', String(run.world_size || words.DASH)],
      ['Generation', String(run.generation || words.DASH)],
      [run.metric ? `${run.metric} before → after` : 'Evaluation', run.metric
        ? `${words.number(run.eval_before, 3)} → ${words.number(run.eval_after, 3)}` : words.DASH],
      ['Checkpoint', run.checkpoint_step > 0 ? `step ${run.checkpoint_step}` : words.DASH],
      ['Time', run.seconds > 0 ? words.duration(run.seconds) : words.DASH],
      ['Output', run.output],
    ];
    facts.forEach(([name, value], i) => {
      const pair = this.facts.children[i] ?? this.facts.appendChild(el('div', {}, el('dt'), el('dd')));
      say(pair.children[0], name);
      say(pair.children[1], value);
    });
  }

  async #pollSteps(run) {
    // A generation may go on at an earlier step, and many points make a page slow: then all is asked for anew, in fewer points.
    if (this.#generation !== run.generation || this.#steps?.step.length > MOST_POINTS) this.#steps = null;
    this.#generation = run.generation;
    if (this.#steps === null || run.step >= this.#steps.next) {
      const from = this.#steps?.next ?? 1, more = await get(`${this.path}/steps?from=${from}&points=${FIRST_POINTS}`);
      say(this.noSteps, more.problem);
      this.noSteps.hidden = !more.problem;
      for (const name of Object.keys(more)) {
        if (this.#steps && Array.isArray(more[name])) more[name] = [...this.#steps[name], ...more[name]];
      }
      this.#steps = more;
    }
    const marks = run.generations.slice(1).map(g => ({
      step: g.first_step, label: `generation ${g.generation} from step ${g.first_step}: ${g.cause}, ${words.ranks(g.world_size)}`,
    }));
    for (const [chart, name] of this.charts) chart.show(this.#steps.step, this.#steps[name], marks);
  }

  #ask() {
    confirm({
      title: 'Cancel this run?',
      text: `${this.run} ends where it is. Its checkpoints stay, and phi3v resume goes on from the newest.`,
      yes: 'Cancel the run',
      act: () => post(`${this.path}/cancel`),
    });
  }
}
