// What is looked at: the range of days, what it is compared with, and the filter.
import { useEffect, useRef, useState } from 'preact/hooks';
import { DIMENSIONS } from '../core/metrics.ts';
import type { Range } from '../core/query.ts';
import { localDayAt } from '../core/zone.ts';
import type { Formats } from './formats.ts';
import { Icon } from './pieces.tsx';
import { COMPARES, MAX_DAYS, RANGES, isRange, type RangeName, type View } from './view.ts';

interface ToolbarProps { view: View; dates: Range; timeZone: string; now: number; formats: Formats; onChange: (change: Partial<View>) => void; onFilterEnd: () => void }

export function Toolbar({ view, dates, timeZone, now, formats, onChange, onFilterEnd }: ToolbarProps) {
  const { filter } = view;
  return (
    <div class="toolbar" role="group" aria-label="What is shown">
      <RangePicker view={view} dates={dates} today={localDayAt(timeZone, now)} formats={formats} onChange={onChange} />
      <label class="select">
        <span class="unseen">Compared with</span>
        <select value={view.compare} onChange={(event) => { onChange({ compare: event.currentTarget.value as View['compare'] }); }}>
          {Object.entries(COMPARES).map(([id, label]) => <option key={id} value={id}>{id === 'none' ? label : `vs. ${label.toLowerCase()}`}</option>)}
        </select>
        <Icon name="down" />
      </label>
      {filter && (
        <span class="chip">
          <Icon name="filter" />
          <span class="chip-text">{DIMENSIONS[filter.dimension].label}: <b><bdi>{filter.dimension === 'country' ? formats.country(filter.value) : filter.value}</bdi></b></span>
          <button type="button" aria-label={`Remove the filter ${DIMENSIONS[filter.dimension].label}: ${filter.value}`} title="Remove the filter" onClick={onFilterEnd}><Icon name="close" /></button>
        </span>
      )}
    </div>
  );
}

interface RangePickerProps { view: View; dates: Range; today: string; formats: Formats; onChange: (change: Partial<View>) => void }

function RangePicker({ view: { range }, dates, today, formats, onChange }: RangePickerProps) {
  const [open, setOpen] = useState(false);
  const [given, setGiven] = useState(dates);
  const place = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const isGood = isRange(given.from, given.to) && given.to <= today;
  useEffect(() => {
    if (!open) return undefined;
    place.current?.querySelector<HTMLElement>('[aria-pressed=true], input')?.focus();
    const onPointerDown = (event: PointerEvent) => { if (!place.current?.contains(event.target as Node)) setOpen(false); };
    document.addEventListener('pointerdown', onPointerDown);
    return () => { document.removeEventListener('pointerdown', onPointerDown); };
  }, [open]);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  const choose = (chosen: RangeName | Range) => {
    onChange({ range: chosen });
    close();
  };
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    if (isGood) choose(given);
  };
  return (
    <div class="picker" ref={place} onKeyDown={(event) => { if (event.key === 'Escape' && open) close(); }} onFocusOut={(event) => { if (event.relatedTarget instanceof Node && !place.current?.contains(event.relatedTarget)) setOpen(false); }}>
      <button type="button" class="button range" ref={button} aria-expanded={open} aria-haspopup="dialog" onClick={() => { setGiven(dates); setOpen(!open); }}>
        <Icon name="calendar" /><b>{typeof range === 'string' ? RANGES[range] : 'Dates'}</b><span class="muted">{formats.range(dates.from, dates.to)}</span><Icon name="down" />
      </button>
      {open && (
        <div class="popover" role="dialog" aria-label="Range of days">
          <div class="ranges">
            {(Object.entries(RANGES) as [RangeName, string][]).map(([id, label]) => <button key={id} type="button" aria-pressed={id === range} onClick={() => { choose(id); }}>{label}</button>)}
          </div>
          <form onSubmit={onSubmit}>
            <label>From <input type="date" value={given.from} max={today} required onInput={(event) => { setGiven({ ...given, from: event.currentTarget.value }); }} /></label>
            <label>To <input type="date" value={given.to} max={today} required onInput={(event) => { setGiven({ ...given, to: event.currentTarget.value }); }} /></label>
            <p class={isGood ? 'fine' : 'problem'} role="status">{isGood ? 'Both days are included.' : `Accepts at most ${MAX_DAYS} days up to today, the first before the last.`}</p>
            <button type="submit" class="button primary" disabled={!isGood}>Show</button>
          </form>
        </div>
      )}
    </div>
  );
}
