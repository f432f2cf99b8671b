// Numbers and states for people. Missing is a dash; what diverged comes as the text "NaN".

export const DASH = '–';

export function number(value, digits = 4) {
  if (value === null || value === undefined) return DASH;
  const v = Number(value);
  if (!Number.isFinite(v)) return String(value);
  if (v !== 0 && Math.abs(v) < 10 ** -digits) return v.toExponential(2);
  return v.toFixed(digits);
}

/** As few digits as tell an axis's values apart. */
export function tick(value, step) {
  if (value !== 0 && (Math.abs(value) >= 1e6 || step < 1e-4)) return value.toExponential(1).replace('e+', 'e');
  return value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds), two = n => String(n).padStart(2, '0');
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

export function moment(iso) {
  return iso ? new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }) : DASH;
}

export const ranks = count => count === 1 ? '1 rank' : `${count} ranks`;

export const isOver = run => ['done', 'failed', 'cancelled'].includes(run.state);

/** E.g. "running: evaluating after". */
export function state(run) {
  const phase = run.phase.replaceAll('-', ' ');
  return run.state === 'running' && phase && phase !== run.state ? `${run.state}: ${phase}` : run.state;
}

/** What a run waits for, as the CLI says it; or why it failed. */
export function why(run) {
  const wait = run.waiting_for;
  if (run.error || !wait) return (run.error ?? '').split('\n')[0];
  const isPhase = ['regrouping', 'parting'].includes(run.phase) && wait.startsWith(run.phase);
  if (isPhase) return wait.slice(run.phase.length).replace(/^[, ]+/, '');
  return wait.startsWith('the drain') ? wait : `waits for ${wait}`;
}

/** Of a run's steps, and what is counted within another phase. */
export function progress(run) {
  const part = run.part?.total > 0 && run.phase !== 'training' ? run.part : null;
  if (part) return { share: part.done / part.total, words: `${part.done} of ${part.total} ${part.unit}` };
  return run.total_steps > 0
    ? { share: run.step / run.total_steps, words: `step ${run.step} of ${run.total_steps}` }
    : { share: 0, words: '' };
}
