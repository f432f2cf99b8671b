// Nothing is changed without a question first.

import { say } from './dom.js';

const at = id => document.getElementById(id);

/** Asks, does it, and says why it could not be done. */
export function confirm({ title, text, yes, act }) {
  const dialog = at('confirm');
  say(at('confirm-title'), title);
  say(at('confirm-text'), text);
  say(at('confirm-yes'), yes);
  say(at('confirm-problem'), '');
  at('confirm-no').onclick = () => dialog.close();
  at('confirm-yes').disabled = false;
  at('confirm-yes').onclick = async () => {
    at('confirm-yes').disabled = true; // once
    try {
      await act();
      dialog.close();
    } catch (error) {
      say(at('confirm-problem'), error.message);
      at('confirm-yes').disabled = false;
    }
  };
  dialog.showModal();
}
