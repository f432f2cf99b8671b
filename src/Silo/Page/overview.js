// The cluster at a glance: runs, queue, nodes.

import { get, id, post } from './api.js';
import { confirm } from './confirm.js';
import { el, say, table, textCell } from './dom.js';
import * as words from './words.js';

export class Overview {
  title = 'Phi3VCluster';

  constructor(access) {
    this.runs = table('Runs', [
      { title: 'Run', cell: runLink },
      { title: 'State', cell: stateCell },
      { title: 'Progress', cell: progressCell },
      { title: 'Loss', kind: 'number', cell: textCell(r => words.number(r.loss)) },
      { title: 'Images/s', kind: 'number', cell: textCell(r => words.number(r.images_per_second, 1)) },
      { title: 'Ranks', kind: 'number', cell: textCell(r => String(r.world_size || words.DASH)) },
      { title: 'Submitted', cell: textCell(r => words.moment(r.submitted_at)) },
    ]);
    this.queue = table('Queue', [
      { title: 'Place', cell: textCell(q => String(q.ahead + 1)) },
      { title: 'Run', cell: runLink },
      { title: 'Waits for', cell: textCell(q => q.waiting_for ?? words.DASH) },
      { title: 'Since', cell: textCell(q => words.moment(q.submitted_at)) },
    ]);
    this.nodes = table('Nodes', [
      { title: 'Node', cell: textCell(n => n.node) },
      { title: 'State', cell: stateOfNode },
      { title: 'Ranks', kind: 'number', cell: textCell(n => `${n.ranks - n.free} of ${n.ranks} busy`) },
      { title: 'Leased to', cell: leases },
      { title: 'Device', cell: textCell(n => n.device) },
      ...(access.role === 'operator' ? [{ title: 'Change', cell: changeOfNode }] : []),
    ]);
    this.noRuns = el('p', { class: 'quiet' }, 'No run yet: ', el('code', {}, 'phi3v submit SPEC'), ' queues one.');
    this.noQueue = el('p', { class: 'quiet' }, 'Nothing waits.');
    this.element = el('div', {},
      el('h1', { class: 'unseen' }, 'The cluster'),
      section('Runs', this.noRuns, this.runs.element),
      section('Queue', this.noQueue, this.queue.element),
      section('Nodes', this.nodes.element));
  }

  async poll() {
    const [runs, queue, nodes] = await Promise.all([get('/runs'), get('/queue'), get('/nodes')]);
    this.runs.show(runs, r => r.run);
    this.queue.show(queue, q => q.run);
    this.nodes.show(nodes, n => n.node);
    this.noRuns.hidden = !(this.runs.element.hidden = runs.length === 0);
    this.noQueue.hidden = !(this.queue.element.hidden = queue.length === 0);
  }

  close() {}
}

export const section = (title, ...children) => el('section', {}, el('h2', {}, title), ...children);

function runLink(cell) {
  const link = cell.appendChild(el('a'));
  return item => {
    link.href = `#/runs/${id(item.run)}`;
    say(link, item.run);
  };
}

export function stateCell(cell) {
  const [chip, why] = [cell.appendChild(el('span')), cell.appendChild(el('small'))];
  return run => {
    chip.className = `state ${run.state}${['regrouping', 'parting', 'short'].includes(run.phase) ? ' regrouping' : ''}`;
    say(chip, words.state(run));
    say(why, words.why(run));
  };
}

function progressCell(cell) {
  const [bar, text] = [cell.appendChild(el('progress', { max: 1 })), cell.appendChild(el('small'))];
  return run => {
    const { share, words: text_ } = words.progress(run);
    bar.value = share;
    bar.setAttribute('aria-label', `Progress of ${run.run}`);
    say(text, text_);
  };
}

function stateOfNode(cell) {
  const chip = cell.appendChild(el('span'));
  return node => {
    chip.className = `state ${node.state}`;
    say(chip, node.state);
  };
}

function leases(cell) {
  const box = cell.appendChild(el('span'));
  return node => {
    if (box.dataset.runs === node.leased_to.join()) return;
    box.dataset.runs = node.leased_to.join();
    box.replaceChildren(...(node.leased_to.length === 0 ? [words.DASH]
      : node.leased_to.flatMap((run, i) => [i > 0 ? ', ' : '', el('a', { href: `#/runs/${id(run)}` }, run)])));
  };
}

function changeOfNode(cell) {
  let node = null;
  const button = cell.appendChild(el('button', { type: 'button', click: () => ask(node) }));
  return newest => {
    node = newest;
    const draining = node.state === 'draining';
    button.disabled = !draining && node.state !== 'ready';
    say(button, draining ? 'Undrain' : 'Drain');
    button.setAttribute('aria-label', `${draining ? 'Undrain' : 'Drain'} ${node.node}`);
  };
}

function ask(node) {
  const [change, title, text] = node.state === 'draining'
    ? ['undrain', `Undrain ${node.node}?`, 'It takes runs again.']
    : ['drain', `Drain ${node.node}?`, 'Its runs leave it at their next step and go on without it; it gets no others until undrained.'];
  const act = () => post(`/nodes/${id(node.node)}/${change}`);
  confirm({ title, text, yes: change === 'drain' ? 'Drain it' : 'Undrain it', act });
}
