// The state of the rollups: hours of the last days, what is parked, jobs of reprocessing and how to begin one.
import { useEffect, useRef, useState } from 'preact/hooks';
import { hourAfter, hourOf, isHour } from '../core/hour.ts';
import type { Reprocess, ShownJob } from '../core/reprocess.ts';
import type { HourState } from './client.ts';
import { age, bytes } from './formats.ts';
import { useAction, useLoaded, useSession } from './loading.ts';
import { Card, Failed } from './pieces.tsx';

const DAYS = 7;
/** How often jobs that are under way are looked at. */
const JOB_MS = 3000;

const STATES = { committed: ['✓', 'counted'], unfinished: ['…', 'half-written; the next attempt mends it'], parked: ['!', 'failed too often, and waits for you'], none: ['', 'nothing came'] } as const;

const count = (number: number | undefined) => (number ?? 0).toLocaleString('en-US');

export function Rollups() {
  const { now } = useSession();
  const to = hourOf(now());
  const from = `${hourAfter(to, -24 * (DAYS - 1)).slice(0, 10)}T00`;
  const { value, trouble, retry } = useLoaded(`rollups ${from} ${to}`, (client, signal) => client.rollups(from, to, signal));
  const [chosen, setChosen] = useState<HourState>();
  const isBusy = value?.jobs.some(({ state }) => !isOver(state)) ?? false;
  const again = useRef(retry);
  again.current = retry;
  useEffect(() => {
    if (!isBusy) return undefined;
    const timer = setInterval(() => { if (document.visibilityState === 'visible') again.current(); }, JOB_MS);
    return () => { clearInterval(timer); };
  }, [isBusy]);
  if (trouble) return <section class="card"><Failed trouble={trouble} retry={retry} /></section>;
  return (
    <div class="stack">
      <Health />
      <Card title={`Hours of the last ${DAYS} days`} tools={<span class="muted">Hours of UTC</span>}>
        {value ? <Grid hours={value.hours} chosen={chosen} onChoose={setChosen} /> : <span class="skeleton grid-skeleton" />}
        <ul class="states" aria-label="States">{Object.entries(STATES).map(([state, [mark, words]]) => <li key={state}><i class={`cell ${state}`}>{mark}</i>{words}</li>)}</ul>
        {chosen && <HourFacts hour={chosen} />}
      </Card>
      {value && value.parked.length > 0 && (
        <Card title="Parked tasks">
          <p class="muted card-note">They failed too often. Find out why, mend it, and recompute their hours.</p>
          <ul class="failures">{value.parked.map(({ task, attempts, error }) => <li key={task}><b>{task}</b> <span class="muted">after {attempts} attempts</span><pre tabIndex={0} role="region" aria-label={`Error of ${task}`}>{error}</pre></li>)}</ul>
        </Card>
      )}
      <div class="halves">
        <Recompute key={chosen?.hour} hour={chosen?.hour ?? hourAfter(to, -1)} latest={to} onBegun={retry} />
        <Card title="Jobs">
          {value?.jobs.length === 0 && <p class="muted">Nothing has been recomputed yet.</p>}
          <ul class="jobs">{value?.jobs.map((job) => <Job key={job.id} job={job} onCancelled={retry} />)}</ul>
        </Card>
      </div>
    </div>
  );
}

function isOver(state: ShownJob['state']): boolean {
  return state === 'done' || state === 'cancelled';
}

function Health() {
  const { now } = useSession();
  const { value, trouble, retry } = useLoaded('health', (client, signal) => client.health(signal));
  if (trouble) return <section class="card"><Failed trouble={trouble} retry={retry} /></section>;
  const through = value?.complete_through;
  const facts = [
    ['Complete through', value && (through ? `${through.slice(11, 19)} UTC` : 'nothing yet'), through ? `${age(now() - Date.parse(through))} ago` : ''],
    ['Oldest event on its way', value && (value.oldest_undelivered_seconds === null ? 'none' : age(value.oldest_undelivered_seconds * 1000)), 'not in the lake yet'],
    ['Tasks that wait', value && count(value.waiting_tasks), 'hours and days to count'],
    ['Tasks that are parked', value && count(value.parked_tasks), value?.parked_tasks ? 'need you' : 'all is well'],
  ] as const;
  return (
    <dl class="card facts" aria-label="Health">
      {facts.map(([name, fact, more]) => <div key={name} class={name === 'Tasks that are parked' && value?.parked_tasks ? 'fact alarm' : 'fact'}><dt>{name}</dt><dd>{fact ?? <span class="skeleton" />}<small>{more}</small></dd></div>)}
    </dl>
  );
}

interface GridProps { hours: readonly HourState[]; chosen: HourState | undefined; onChoose: (hour: HourState) => void }

/** A row a day, newest on top. One stop of the keyboard; the arrows move within. */
function Grid({ hours, chosen, onChoose }: GridProps) {
  const table = useRef<HTMLTableElement>(null);
  const days = [...new Set(hours.map(({ hour }) => hour.slice(0, 10)))].reverse();
  const stop = chosen?.hour ?? hours.at(-1)?.hour;
  const onKeyDown = (event: KeyboardEvent) => {
    const from = (event.target as HTMLElement).dataset.hour;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 24, ArrowDown: -24 }[event.key];
    if (from === undefined || step === undefined) return;
    const to = hours.find(({ hour }) => hour === hourAfter(from, step));
    event.preventDefault();
    if (!to) return;
    onChoose(to);
    table.current?.querySelector<HTMLElement>(`[data-hour="${to.hour}"]`)?.focus();
  };
  return (
    <div class="scroll">
      <table class="grid" ref={table} onKeyDown={onKeyDown}>
        <caption class="unseen">State of each hour</caption>
        <thead><tr><th scope="col"><span class="unseen">Day</span></th>{Array.from({ length: 24 }, (_, hour) => <th key={hour} scope="col">{String(hour).padStart(2, '0')}</th>)}</tr></thead>
        <tbody>
          {days.map((day) => (
            <tr key={day}>
              <th scope="row">{day}</th>
              {Array.from({ length: 24 }, (_, i) => {
                const hour = hours.find((one) => one.hour === `${day}T${String(i).padStart(2, '0')}`);
                if (!hour) return <td key={i} />;
                const [mark, words] = STATES[hour.state];
                const label = `${day} ${hour.hour.slice(11)}:00, ${words}${hour.events === undefined ? '' : `, ${count(hour.events)} events`}`;
                return <td key={i}><button type="button" class={`cell ${hour.state}`} data-hour={hour.hour} tabIndex={hour.hour === stop ? 0 : -1} aria-pressed={hour.hour === chosen?.hour} aria-label={label} title={label} onClick={() => { onChoose(hour); }}>{mark}</button></td>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function HourFacts({ hour: { hour, state, run, committed_at, checked_at, sites, events, bots, rejected, long_visit_events } }: { hour: HourState }) {
  const facts: [string, string][] = [
    ['State', STATES[state][1]], ['Run', run ?? '–'], ['Counted at', committed_at ?? '–'], ['Looked at', checked_at ?? '–'],
    ['Events', count(events)], ['Sites', count(sites)], ['Bots', count(bots)], ['Refused', count(rejected)], ['In long visits', count(long_visit_events)],
  ];
  return <dl class="hour-facts" aria-label={`Hour ${hour}`}><div><dt>Hour</dt><dd>{hour.replace('T', ' ')}:00</dd></div>{facts.map(([name, fact]) => <div key={name}><dt>{name}</dt><dd>{fact}</dd></div>)}</dl>;
}

/** First what it would do, then the job itself: a change of the hours in between asks again. */
function Recompute({ hour, latest, onBegun }: { hour: string; latest: string; onBegun: () => void }) {
  const { client } = useSession();
  const [range, setRange] = useState<Reprocess>({ from: hour, to: hour, replay: false });
  const [estimate, setEstimate] = useState<Awaited<ReturnType<typeof client.estimate>>>();
  const change = (to: Partial<Reprocess>) => {
    setEstimate(undefined);
    setRange({ ...range, ...to });
  };
  const estimating = useAction(async () => { setEstimate(await client.estimate(range)); });
  const beginning = useAction(async () => {
    await client.begin(range);
    setEstimate(undefined);
    onBegun();
  });
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    estimating.run();
  };
  const bound = (name: 'from' | 'to') => ({
    step: 3600, required: true, value: `${range[name]}:00`, max: `${latest}:00`,
    onInput: ({ currentTarget }: { currentTarget: HTMLInputElement }) => {
      const given = currentTarget.value.slice(0, 13);
      if (isHour(given)) change({ [name]: given });
    },
  });
  const isGood = range.from <= range.to;
  return (
    <Card title="Recompute hours">
      <form class="fields" onSubmit={onSubmit}>
        <div class="field"><label>First hour (UTC) <input type="datetime-local" {...bound('from')} /></label></div>
        <div class="field"><label>Last hour (UTC) <input type="datetime-local" {...bound('to')} /></label></div>
        <label class="check"><input type="checkbox" checked={range.replay} onChange={(event) => { change({ replay: event.currentTarget.checked }); }} />Replay the records as they came, too <span class="fine">where the transform was wrong</span></label>
        {!isGood && <p class="problem">The first hour is after the last.</p>}
        <div class="actions"><button type="submit" class="button" disabled={!isGood || estimating.running}>Dry run</button></div>
      </form>
      {(estimating.trouble ?? beginning.trouble) && <Failed trouble={(estimating.trouble ?? beginning.trouble)!} />}
      {estimate && (
        <div class="estimate" role="status">
          <dl class="hour-facts">
            <div><dt>Hours</dt><dd>{count(estimate.hours)}</dd></div><div><dt>Bytes read</dt><dd>{bytes(estimate.bytes)}</dd></div>
            {range.replay && <div><dt>Records replayed</dt><dd>{bytes(estimate.raw_bytes)}</dd></div>}
            <div><dt>Cost</dt><dd>{estimate.cost_usd.toLocaleString('en-US', { style: 'currency', currency: 'USD' })}</dd></div>
          </dl>
          <button type="button" class="button primary" disabled={beginning.running || estimate.hours === 0} onClick={() => { beginning.run(); }}>{estimate.hours === 0 ? 'There is nothing in these hours' : 'Begin'}</button>
        </div>
      )}
    </Card>
  );
}

const JOB_STATES: Readonly<Record<ShownJob['state'], string>> = { replaying: 'Records are replayed', rolling: 'Hours are rolled up', done: 'Done', cancelled: 'Cancelled' };

function Job({ job: { id, from, to, state, hours, hours_done, hours_failed, days_failed, records_replayed, files_failed, created_at, replay }, onCancelled }: { job: ShownJob; onCancelled: () => void }) {
  const { client } = useSession();
  const cancelling = useAction(async () => {
    await client.cancel(id);
    onCancelled();
  });
  const failed = [...hours_failed, ...days_failed, ...files_failed];
  return (
    <li class="job">
      <div class="job-head"><b>{from === to ? from : `${from} to ${to}`}</b><span class={`state ${state}`}>{JOB_STATES[state]}</span></div>
      <progress max={Math.max(1, hours)} value={state === 'done' ? Math.max(1, hours) : hours_done} aria-label={`Progress of ${id}`} />
      <p class="fine">{count(hours_done)} of {count(hours)} hours{replay && `, ${count(records_replayed)} records replayed`}, begun {created_at.slice(0, 16).replace('T', ' ')} UTC</p>
      {failed.length > 0 && <p class="problem">Failed: {failed.join(', ')}</p>}
      {cancelling.trouble && <Failed trouble={cancelling.trouble} />}
      {!isOver(state) && <button type="button" class="button" disabled={cancelling.running} onClick={() => { cancelling.run(); }}>Cancel</button>}
    </li>
  );
}
