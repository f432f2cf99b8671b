// Which view is shown, by the address behind #, and the clock that keeps it new.

import { ApiError, get } from './api.js';
import { el, say } from './dom.js';
import { Overview } from './overview.js';
import { RunView } from './run.js';

const EACH_MS = 1000, AFTER_TROUBLE_MS = 5000;

const main = document.getElementById('main'), trouble = document.getElementById('trouble');
let access = null, view = null, timer = 0, turn = 0;

async function poll() {
  const mine = ++turn; // whoever asked before is late
  clearTimeout(timer);
  let wait = EACH_MS;
  try {
    if (access === null) {
      access = await get('/access');
      say(document.getElementById('silo'), `${access.node} · ${access.role}`);
    }
    view ??= choose();
    await view.poll();
    if (mine !== turn) return;
    if (!view.element.isConnected) main.replaceChildren(view.element); // shown when there is something to show
    say(trouble, '');
  } catch (error) {
    if (mine !== turn) return;
    wait = AFTER_TROUBLE_MS;
    say(trouble, `${error.message} Trying again.`);
    if (!(error instanceof ApiError)) throw error; // ours: the browser's console has it
  } finally {
    if (mine === turn && !document.hidden) timer = setTimeout(poll, wait);
  }
}

function choose() {
  const run = location.hash.match(/^#\/runs\/(.+)$/)?.[1];
  const chosen = run ? new RunView(access, decodeURIComponent(run)) : new Overview(access);
  document.title = chosen.title;
  return chosen;
}

addEventListener('hashchange', () => {
  if (!location.hash.startsWith('#/')) return; // a link within the page
  view?.close();
  view = null;
  main.replaceChildren(el('p', { class: 'quiet' }, 'Loading …'));
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
  poll();
});

document.addEventListener('visibilitychange', () => document.hidden ? clearTimeout(timer) : poll());

poll();
