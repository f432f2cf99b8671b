// Small helpers over the DOM. All that comes from the API becomes text, never markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes (null leaves one out) and children, which are elements or text. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Changes a text only where it is another: what is selected, or read aloud, stays. */
export function say(element, text) {
  text = text ?? '';
  if (element.textContent !== text) element.textContent = text;
}

const synced = new WeakMap(); // parent → its rows by key

/**
 * Makes a parent's children those of the items, by key: an element that stays is not touched, and keeps its focus.
 * @param make item → [element, update], where update is called with the newest item
 */
export function sync(parent, items, keyOf, make) {
  if (!synced.has(parent)) synced.set(parent, new Map());
  const known = synced.get(parent);
  const keys = new Set(items.map(keyOf));
  for (const [key, row] of known) {
    if (keys.has(key)) continue;
    row.element.remove();
    known.delete(key);
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    if (!known.has(key)) {
      const [element, update] = make(item);
      known.set(key, { element, update });
    }
    const { element, update } = known.get(key);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
    update(item);
  });
}

/** A table whose rows become cards where there is little room; its roles are said because style would take them away. */
export function table(caption, columns) {
  const body = el('tbody', { role: 'rowgroup' });
  const head = el('tr', { role: 'row' },
    ...columns.map(c => el('th', { role: 'columnheader', scope: 'col', class: c.kind ?? null }, c.title)));
  const element = el('table', { role: 'table', 'aria-label': caption },
    el('thead', { role: 'rowgroup' }, head), body);
  return {
    element,
    show(items, keyOf) {
      sync(body, items, keyOf, () => {
        const cells = columns.map(c => el('td', { role: 'cell', 'data-title': c.title, class: c.kind ?? null }));
        const updates = columns.map((c, i) => c.cell(cells[i]));
        return [el('tr', { role: 'row' }, ...cells), item => updates.forEach(update => update(item))];
      });
    },
  };
}

/** A cell of text. */
export const textCell = of => cell => item => say(cell, of(item));
