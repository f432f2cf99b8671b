// Calls of the silo's API. The token, where one is asked for, is kept by this tab alone and sent in a header, never in an address.

const ROOT = '/api/v1', KEY = 'phi3v-token', HEADER = 'X-Phi3V';

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Of a run or node, into an address. */
export const id = encodeURIComponent;

export const get = async path => (await call('GET', path)).json();

export const post = async path => (await call('POST', path)).json();

export const image = async path => URL.createObjectURL(await (await call('GET', path)).blob());

async function call(method, path) {
  for (let refused = false; ; refused = true) {
    const token = sessionStorage.getItem(KEY);
    const headers = { [HEADER]: '1', ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(ROOT + path, { method, headers }).catch(() => {
      throw new ApiError(0, 'The silo does not answer.');
    });
    if (response.ok) return response;
    const message = (await response.json().catch(() => ({}))).error ?? `The silo answered ${response.status}.`;
    if (response.status !== 401) throw new ApiError(response.status, message);
    if (token && token === sessionStorage.getItem(KEY)) sessionStorage.removeItem(KEY);
    await askForToken(refused || token ? message : '');
  }
}

let asking = null; // many calls may be refused at once: all wait for one answer

function askForToken(problem) {
  if (sessionStorage.getItem(KEY)) return Promise.resolve(); // another call's answer came meanwhile
  return asking ??= new Promise(resolve => {
    const dialog = document.getElementById('token');
    document.getElementById('token-problem').textContent = problem;
    dialog.addEventListener('cancel', event => event.preventDefault());
    dialog.querySelector('form').onsubmit = event => {
      event.preventDefault();
      const text = document.getElementById('token-text');
      sessionStorage.setItem(KEY, text.value.trim());
      text.value = '';
      dialog.close();
      asking = null;
      resolve();
    };
    if (!dialog.open) dialog.showModal();
  });
}
