// The chart: one metric over time, beside what it is compared with, as lines or as a table.
// before: dashboard/series.ts makes the lines
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { METRICS } from '../core/metrics.ts';
import type { Interval } from '../core/query.ts';
import type { TimeseriesResult } from '../core/serve.ts';
import { isWhole, type Formats } from './formats.ts';
import { linesOf, ticksOf } from './series.ts';
import { Change } from './tiles.tsx';
import type { Tile } from './view.ts';

interface ChartProps {
  results: readonly TimeseriesResult[];
  /** The same buckets, smoothed; undefined where that is not asked for. */
  smoothed: readonly TimeseriesResult[] | undefined;
  metric: Tile;
  interval: Interval;
  timeZone: string;
  /** Epoch ms. */
  now: number;
  formats: Formats;
  asTable: boolean;
}

const HEIGHT = 280;
/** Steps of an axis that counts: 1, 2, 5, 10, … */
const WHOLE_STEPS = Array.from({ length: 14 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
/** Room for the name of a bucket, px. */
const TICK_PX = 76;

export function Chart(props: ChartProps) {
  return props.asTable ? <ChartTable {...props} /> : <ChartLines {...props} />;
}

function ChartTable({ results, smoothed, metric, interval, formats }: ChartProps) {
  const compared = results.some(({ comparison }) => comparison);
  return (
    <div class="chart-table" tabIndex={0} role="region" aria-label={`${METRICS[metric].label} as a table`}>
      <table>
        <thead><tr><th scope="col">Time</th><th scope="col" class="number">{METRICS[metric].label}</th>{smoothed && <th scope="col" class="number">Average</th>}{compared && <><th scope="col" class="number">Before</th><th scope="col" class="number">Change</th></>}</tr></thead>
        <tbody>
          {results.map(({ time, metrics, comparison, change, partial }, i) => (
            <tr key={time}>
              <th scope="row">{formats.bucket(time, interval)}{partial && <span class="muted"> so far</span>}</th>
              <td class="number">{formats.full(metric, metrics[metric])}</td>
              {smoothed && <td class="number">{formats.full(metric, smoothed[i]?.metrics[metric])}</td>}
              {compared && <><td class="number">{formats.full(metric, comparison?.[metric])}</td><td class="number"><Change metric={metric} change={change?.[metric]} formats={formats} /></td></>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A colour of the theme, as a canvas takes it. */
function colour(at: Element, name: string): string {
  const probe = at.appendChild(document.createElement('span'));
  probe.style.color = `var(${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** The colour, seen through; `color` is the browser's own writing of it. */
function faint(color: string, alpha: number): string {
  const [r, g, b] = color.match(/[\d.]+/g) ?? [];
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

/** Draws again when the colours or the width of what holds it change. */
function useRedraw(): [ref: { current: HTMLDivElement | null }, width: number, colours: number] {
  const holder = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [colours, setColours] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => { setWidth(Math.floor(entry!.contentRect.width)); });
    observer.observe(holder.current!);
    const recolour = () => { setColours((n) => n + 1); };
    const system = matchMedia('(prefers-color-scheme: dark)');
    window.addEventListener('themechange', recolour);
    system.addEventListener('change', recolour);
    return () => {
      observer.disconnect();
      window.removeEventListener('themechange', recolour);
      system.removeEventListener('change', recolour);
    };
  }, []);
  return [holder, width, colours];
}

function ChartLines({ results, smoothed, metric, interval, timeZone, now, formats }: ChartProps) {
  const [holder, width, colours] = useRedraw();
  const plot = useRef<uPlot>(undefined);
  const [at, setAt] = useState<number>();
  const times = useMemo(() => results.map(({ time }) => time), [results]);
  const lines = useMemo(() => linesOf(results, metric, { interval, timeZone, now }), [results, metric, interval, timeZone, now]);
  const average = useMemo(() => smoothed && linesOf(smoothed, metric, { interval, timeZone, now }), [smoothed, metric, interval, timeZone, now]);

  useEffect(() => {
    if (width === 0 || !holder.current) return undefined;
    const element = holder.current;
    const [accent, second, muted, grid, ground] = ['--accent', '--second', '--muted', '--rule', '--surface'].map((name) => colour(element, name)) as [string, string, string, string, string];
    const fill = ({ ctx, bbox }: uPlot) => {
      const gradient = ctx.createLinearGradient(0, bbox.top, 0, bbox.top + bbox.height);
      gradient.addColorStop(0, faint(accent, average ? 0.06 : 0.2));
      gradient.addColorStop(1, faint(accent, 0));
      return gradient;
    };
    const font = `12px ${getComputedStyle(element).fontFamily}`;
    const few = times.length <= 2;
    const point = (color: string): uPlot.Series.Points => ({ show: few, size: 8, width: 2, stroke: color, fill: ground });
    const strength = average ? 0.45 : 1;
    const chart = new uPlot({
      width, height: HEIGHT, padding: [12, 26, 0, 0],
      legend: { show: false },
      cursor: { y: false, move: (self, left, top) => (left < 0 ? [left, top] : [self.valToPos(self.posToIdx(left), 'x'), top]), drag: { x: false, y: false }, points: { size: 9, width: 2, stroke: (_, i) => [accent, muted, accent, accent, second][i]!, fill: ground } },
      scales: {
        x: { time: false, range: () => (times.length === 1 ? [-1, 1] : [0, times.length - 1]) },
        y: { range: (_, min, max) => [Math.min(0, min), max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        {
          stroke: muted, font, size: 34, gap: 8, grid: { show: false }, ticks: { show: false },
          splits: () => ticksOf(times, interval, Math.max(2, Math.floor(width / TICK_PX))),
          values: (_, splits) => splits.map((i) => (times[i] === undefined ? '' : formats.tick(times[i], interval))),
        },
        {
          stroke: muted, font, gap: 8, size: (_, values) => 18 + 7 * Math.max(2, ...(values ?? []).map((text) => text.length)),
          grid: { stroke: grid, width: 1 }, ticks: { show: false }, space: 52,
          ...(isWhole(metric) && { incrs: WHOLE_STEPS }),
          values: (_, splits) => splits.map((value) => formats.axis(metric, value)),
        },
      ],
      series: [
        {},
        { stroke: faint(muted, 0.75), width: 1.5, dash: [2, 4], points: point(muted) },
        { stroke: faint(accent, strength), width: 2.25, fill, points: point(accent) },
        { stroke: faint(accent, strength), width: 2.25, dash: [6, 5], points: point(accent) },
        { stroke: second, width: 2.5, show: average !== undefined, points: { show: false } },
      ],
      hooks: { setCursor: [({ cursor }) => { setAt(cursor.idx ?? undefined); }] },
    }, [times.map((_, i) => i), lines.comparison, lines.complete, lines.partial, average ? average.complete.map((value, i) => value ?? average.partial[i] ?? null) : times.map(() => null)], element);
    plot.current = chart;
    return () => {
      plot.current = undefined;
      chart.destroy();
    };
  }, [width, colours, times, lines, average, metric, interval, formats, holder]);

  const move = (to: number | undefined) => {
    const chart = plot.current;
    setAt(to);
    if (chart) chart.setCursor(to === undefined ? { left: -10, top: -10 } : { left: chart.valToPos(to, 'x'), top: 0 });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const last = times.length - 1;
    const from = at ?? last;
    const to = { ArrowLeft: Math.max(0, from - 1), ArrowRight: Math.min(last, at === undefined ? last : from + 1), Home: 0, End: last }[event.key];
    if (event.key === 'Escape') move(undefined);
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  };
  const shown = at === undefined ? undefined : results[at];
  const words = shown ? `${formats.bucket(shown.time, interval)}: ${formats.full(metric, shown.metrics[metric])}${shown.partial ? ' so far' : ''}` : `${times.length} values; the arrow keys read them`;
  return (
    <div class="chart" role="slider" tabIndex={0} aria-label={`${METRICS[metric].label} over time`} aria-valuemin={0} aria-valuemax={times.length - 1} aria-valuenow={at ?? times.length - 1} aria-valuetext={words} onKeyDown={onKeyDown} onBlur={() => { move(undefined); }}>
      <div class="chart-lines" ref={holder} />
      {shown && at !== undefined && <Tip result={shown} average={smoothed?.[at]} begun={(lines.complete[at] ?? lines.partial[at] ?? null) !== null || shown.partial !== true} metric={metric} interval={interval} formats={formats} plot={plot.current} at={at} width={width} />}
    </div>
  );
}

interface TipProps { result: TimeseriesResult; average: TimeseriesResult | undefined; begun: boolean; metric: Tile; interval: Interval; formats: Formats; plot: uPlot | undefined; at: number; width: number }

function Tip({ result: { time, metrics, comparison, comparison_time, change, partial }, average, begun, metric, interval, formats, plot, at, width }: TipProps) {
  const left = plot ? plot.valToPos(at, 'x') + plot.bbox.left / devicePixelRatio : 0;
  return (
    <div class={left > width / 2 ? 'tip before' : 'tip'} style={{ left: `${left}px` }} aria-hidden="true">
      <p class="tip-time">{formats.bucket(time, interval)}{partial && begun && <em>so far</em>}</p>
      <p><i class="key now" /><span>{METRICS[metric].label}</span><b>{begun ? formats.full(metric, metrics[metric]) : 'to come'}</b></p>
      {average && begun && <p><i class="key average" /><span>Average</span><b>{formats.full(metric, average.metrics[metric])}</b></p>}
      {comparison && <p class="muted"><i class="key then" /><span>{comparison_time === undefined ? 'Before' : formats.bucket(comparison_time, interval)}</span><b>{formats.full(metric, comparison[metric])}</b></p>}
      {comparison && begun && !partial && typeof change?.[metric] === 'number' && <p class="tip-change"><Change metric={metric} change={change?.[metric]} formats={formats} /></p>}
    </div>
  );
}
