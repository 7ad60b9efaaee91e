// The lists of values: pages, sources, countries, devices, products, refusals. Values are whatever a client sent, so
// they are text and nothing else; a click filters by one.
import { useId, useState } from 'preact/hooks';
import { DIMENSIONS, METRICS, OTHER, type DimensionName, type MetricName } from '../core/metrics.ts';
import type { Filter } from '../core/query.ts';
import { useLoaded } from './loading.ts';
import { Download } from './download.tsx';
import type { Formats } from './formats.ts';
import { Card, Failed, Icon, Tabs } from './pieces.tsx';
import { isFilterable, rangeParameters, type View } from './view.ts';

/** A list: its dimension, how its tab is called, and the metrics beside its values, the first of which orders it. */
export interface ListChoice { dimension: DimensionName; label: string; metrics: readonly MetricName[] }

const FEW = 8;
const MANY = 100;

interface ListCardProps { title: string; lists: readonly [ListChoice, ...ListChoice[]]; site: string; view: View; formats: Formats; onFilter: (filter: Filter | undefined) => void }

/** A card with a list, or with several behind tabs. */
export function ListCard({ title, lists, ...rest }: ListCardProps) {
  const [chosen, setChosen] = useState<DimensionName>(lists[0].dimension);
  const [many, setMany] = useState(false);
  const panel = useId();
  const list = lists.find(({ dimension }) => dimension === chosen) ?? lists[0];
  const parameters = { ...rangeParameters(rest.view.range), dimension: list.dimension, metrics: list.metrics.join(','), limit: String(MANY) };
  return (
    <Card title={title} tools={<Download read="breakdown" site={rest.site} parameters={parameters} what={`${title}: ${list.label}`} />}>
      {lists.length > 1 && <Tabs label={title} tabs={lists.map(({ dimension, label }) => ({ id: dimension, label }))} chosen={list.dimension} panel={panel} onChoose={setChosen} />}
      <div id={panel} {...(lists.length > 1 && { role: 'tabpanel', 'aria-label': list.label })}>
        <List key={list.dimension} list={list} many={many} onMany={() => { setMany(!many); }} {...rest} />
      </div>
    </Card>
  );
}

interface ListProps extends Omit<ListCardProps, 'title' | 'lists'> { list: ListChoice; many: boolean; onMany: () => void }

/** The value as people read it; `undefined` is none that could be filtered by. */
function shownValue(dimension: DimensionName, value: string, formats: Formats): string {
  if (dimension === 'country') return formats.country(value);
  return dimension === 'device' ? value.replace(/^[a-z]/, (letter) => letter.toUpperCase()) : value;
}

function List({ list: { dimension, metrics }, site, view, formats, onFilter, many, onMany }: ListProps) {
  const [order, setOrder] = useState<MetricName>(metrics[0]!);
  const limit = many ? MANY : FEW;
  const parameters = { ...rangeParameters(view.range), dimension, metrics: metrics.join(','), order_by: order, limit: String(limit) };
  const { value: answer, trouble, loading, retry } = useLoaded(JSON.stringify([site, parameters]), (client, signal) => client.read('breakdown', site, parameters, signal));
  if (trouble) return <div class="list-space"><Failed trouble={trouble} retry={retry} /></div>;
  if (!answer) return <div class="list-space" role="status" aria-label={`Loading ${DIMENSIONS[dimension].label}`}>{Array.from({ length: FEW }, (_, i) => <span key={i} class="skeleton row-skeleton" style={{ width: `${92 - i * 9}%` }} />)}</div>;
  const rows = answer.results;
  if (rows.length === 0) return <div class="list-space empty"><p>Nothing in this time.</p></div>;
  const mostOf = (name: MetricName) => Math.max(0, ...rows.map((row) => Math.abs(row.metrics[name] ?? 0)));
  const most = mostOf(order) || 1;
  return (
    <div class={loading ? 'list-space old' : 'list-space'} aria-busy={loading}>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">{DIMENSIONS[dimension].label}</th>
            {metrics.map((name) => (
              <th key={name} scope="col" class="number" aria-sort={name === order ? 'descending' : 'none'}>
                {metrics.length === 1 ? METRICS[name].label : <button type="button" class="sort" onClick={() => { setOrder(name); }}>{METRICS[name].label}</button>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const { value } = row;
            const filtered = view.filter?.dimension === dimension && view.filter.value === value;
            const share = Math.max(0, row.metrics[order] ?? 0) / most;
            return (
              <tr key={value} class={filtered ? 'chosen' : undefined}>
                <th scope="row" class="value">
                  <span class={value === OTHER ? 'share other' : 'share'} style={{ width: `${(share * 100).toFixed(1)}%` }} />
                  {isFilterable(dimension, value)
                    ? <button type="button" class="value-text" aria-pressed={filtered} title={filtered ? 'Show everything again' : `Only ${value}`} onClick={() => { onFilter(filtered ? undefined : { dimension, value }); }}><bdi>{shownValue(dimension, value, formats)}</bdi></button>
                    : <span class="value-text" title={value}><bdi>{shownValue(dimension, value, formats)}</bdi></span>}
                </th>
                {metrics.map((name) => <td key={name} class="number" title={formats.full(name, row.metrics[name])}>{formats.short(name, row.metrics[name], mostOf(name))}</td>)}
              </tr>
            );
          })}
        </tbody>
      </table>
      {(many || rows.filter(({ value }) => value !== OTHER).length === FEW) && <button type="button" class="more" onClick={onMany}>{many ? 'Fewer' : 'More'}<Icon name="down" /></button>}
      {answer.warnings.map(({ code, message }) => <p key={code} class="fine">{message}</p>)}
    </div>
  );
}

/** Why events were refused, as the person who sends them can mend it. */
const REASONS: Readonly<Record<string, string>> = {
  host_not_allowed: 'The page lies on a host that is not among the site’s hosts',
  unknown_site: 'The site’s id does not exist',
  bad_body: 'The request was no JSON, or had no list of events',
  bad_event: 'The event was no object, or too large',
  bad_name: 'The name is missing, or has other characters than a-z, 0-9 and _',
  bad_id: 'The id is longer than 64 characters',
  bad_url: 'The page’s address is no absolute http(s) address',
  bad_referrer: 'The referrer is no absolute http(s) address',
  bad_time: 'The time cannot be read, or lies in the future',
  bad_age: 'The age is no number of milliseconds up to half an hour',
  bad_visitor: 'The visitor’s id is longer than 64 characters',
  bad_value: 'The value is no number',
  bad_currency: 'The currency is no ISO 4217 code, such as EUR',
  bad_items: 'The items are no list of products with an id',
  bad_props: 'The props are too many, or too long',
  too_many_events: 'More than 100 events came in one request',
};

/** Refused events by reason; only where there are any. */
export function Refusals({ site, view, total, formats }: { site: string; view: View; total: number; formats: Formats }) {
  const parameters = { ...rangeParameters(view.range), dimension: 'rejection' };
  const { value: answer, trouble, retry } = useLoaded(JSON.stringify([site, parameters]), (client, signal) => client.read('breakdown', site, parameters, signal));
  return (
    <Card title="Refused events" wide tools={<Download read="breakdown" site={site} parameters={parameters} what="Refused events" />}>
      <p class="muted card-note">{formats.count(total)} {total === 1 ? 'event was' : 'events were'} refused in this time, and {total === 1 ? 'is' : 'are'} in no other number on this page.</p>
      {trouble && <Failed trouble={trouble} retry={retry} />}
      <ul class="refusals">
        {answer?.results.map(({ value, metrics }) => (
          <li key={value}><b class="number">{formats.count(metrics.rejected ?? 0)}</b><span>{REASONS[value] ?? 'Another reason'}<code><bdi>{value}</bdi></code></span></li>
        ))}
      </ul>
    </Card>
  );
}
