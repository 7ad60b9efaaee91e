// The merchant's page: how a shop's traffic and sales are doing, at a glance. before: the metrics API (core/serve.ts)
import { render } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { METRICS } from '../core/metrics.ts';
import type { Site } from '../core/sites.ts';
import { Chart } from './chart.tsx';
import type { KeyInfo } from './client.ts';
import { Download } from './download.tsx';
import { age, formatsOf, type Formats } from './formats.ts';
import { Funnel } from './funnel.tsx';
import { ListCard, Refusals } from './lists.tsx';
import { useLoaded, useNow, useSession } from './loading.ts';
import { Choice, Failed, Icon, Mark, Snippet, ThemeSwitch, restoreTheme } from './pieces.tsx';
import { Gate, TroubleBar, type SignedIn } from './sign-in.tsx';
import { Tiles } from './tiles.tsx';
import { Toolbar } from './toolbar.tsx';
import { COMPARES, INTERVALS, WINDOWS, datesOf, intervalOf, intervalsOf, searchOf, tilesOf, viewOf, viewParameters, type View } from './view.ts';
import './theme.css';
import './merchant.css';

type Shop = Pick<Site, 'id' | 'name' | 'timezone' | 'currency'>;

/** The site that an admin looks at; a read key has its own. */
const siteOfAddress = () => new URLSearchParams(window.location.search).get('site');

function refuses({ scope }: KeyInfo): string | undefined {
  if (scope === 'write') return 'This is a write key: it sends events. To look at numbers takes a read key.';
  return scope === 'admin' && siteOfAddress() === null ? 'This is an admin key: choose a site on the page /admin, or sign in with a read key.' : undefined;
}

function Page() {
  return (
    <Gate title="Your shop’s numbers" placeholder="ff_read_…" refuses={refuses} invitation="Sign in with the read key of your site.">
      {(signedIn) => signedIn.info.site ? <Shown shop={signedIn.info.site} signedIn={signedIn} /> : <OfAdmin signedIn={signedIn} />}
    </Gate>
  );
}

/** An admin's key knows no site: its settings are asked for. */
function OfAdmin({ signedIn }: { signedIn: SignedIn }) {
  const site = siteOfAddress() ?? '';
  const { value, trouble, retry } = useLoaded(site, (client, signal) => client.site(site, signal));
  if (trouble) return <main class="page"><Failed trouble={trouble} retry={retry} /></main>;
  return value ? <Shown shop={value} signedIn={signedIn} /> : null;
}

/** The view that the address says, and a way to another, which the browser's back button leads back from. */
function useView(): [View, (change: Partial<View>) => void] {
  const [view, setView] = useState(() => viewOf(window.location.search));
  useEffect(() => {
    const follow = () => { setView(viewOf(window.location.search)); };
    window.addEventListener('popstate', follow);
    return () => { window.removeEventListener('popstate', follow); };
  }, []);
  const change = (to: Partial<View>) => {
    const next = { ...view, ...to };
    const site = siteOfAddress();
    setView(next);
    history.pushState(null, '', window.location.pathname + searchOf(next, site === null ? {} : { site }));
  };
  return [view, change];
}

/** More metrics of the site that are asked for with the tiles: for what stands at the foot of the page. */
const BESIDE = ['events', 'bots', 'rejected'] as const;

function Shown({ shop, signedIn: { info, signOut, refresh, trouble: troubleOfPage } }: { shop: Shop; signedIn: SignedIn }) {
  const { id: site, timezone, currency } = shop;
  const { now } = useSession();
  const [view, change] = useView();
  const formats = useMemo(() => formatsOf(undefined, { currency, timezone }), [currency, timezone]);
  const time = useNow(now, 10_000);
  const dates = datesOf(view.range, timezone, time);
  const known = tilesOf(view.filter);
  const metric = known.includes(view.metric) ? view.metric : known[0]!;
  const parameters = { ...viewParameters(view), metrics: [...known, ...(view.filter ? [] : BESIDE)].join(',') };
  const { value: answer, trouble, loading, retry } = useLoaded(JSON.stringify([site, parameters]), (client, signal) => client.read('stats', site, parameters, signal));
  useEffect(() => { document.title = `${shop.name} · Footfall`; }, [shop.name]);
  const result = answer?.results[0];
  // While a filter is being taken away the answer still is that of the filter before.
  const { bots = 0, rejected = 0 } = result?.metrics ?? {};
  const isEmpty = !view.filter && result !== undefined && !loading && BESIDE.every((name) => !result.metrics[name]);
  return (
    <>
      <a class="skip" href="#numbers">To the numbers</a>
      <header class="top">
        <div class="brand"><Mark /><h1>{shop.name}</h1><span class="muted zone">{timezone.replaceAll('_', ' ')}</span></div>
        <div class="top-tools">
          <Freshness completeThrough={answer?.complete_through} now={time} formats={formats} />
          {info.scope === 'admin' && <a class="button quiet" href="/admin">Admin</a>}
          <ThemeSwitch />
          <button type="button" class="button quiet square" aria-label="Sign out" title="Sign out" onClick={signOut}><Icon name="leave" /></button>
        </div>
      </header>
      <main class="page" id="numbers">
        <TroubleBar trouble={trouble ? undefined : troubleOfPage} refresh={refresh} />
        <Toolbar view={view} dates={dates} timeZone={timezone} now={time} formats={formats} onChange={change} onFilterEnd={() => { change({ filter: undefined }); }} />
        {answer?.warnings.map(({ code, message }) => <p key={code} class="notice" role="status">{message}</p>)}
        {trouble ? <section class="card wide whole"><Failed trouble={trouble} retry={() => { retry(); refresh(); }} /></section> : (
          <>
            {isEmpty && <Empty site={site} formats={formats} dates={dates} />}
            <section class="card wide overview" aria-label="Overview">
              <Tiles result={loading && answer && !sameTiles(answer.query.metrics, known) ? undefined : result} loading={loading} chosen={metric} filter={view.filter} formats={formats} onChoose={(tile) => { change({ metric: tile }); }}
                comparedWith={view.compare === 'none' ? undefined : COMPARES[view.compare].toLowerCase()} />
              <Overview site={site} view={{ ...view, metric }} timeZone={timezone} formats={formats} change={change} />
            </section>
            {view.filter && <p class="fine lists-note">The lists are of all visits; the figures and the chart above{' '}only of what was chosen.</p>}
            <div class="cards">
              <Lists site={site} view={view} formats={formats} change={change} />
              <Funnel site={site} view={view} formats={formats} />
              {!view.filter && (rejected ?? 0) > 0 && <Refusals site={site} view={view} total={rejected ?? 0} formats={formats} />}
            </div>
          </>
        )}
        <footer class="foot">
          <span>All times are of {timezone.replaceAll('_', ' ')}.</span>
          {!view.filter && result && <span>{(bots ?? 0) > 0 ? `${formats.count(bots ?? 0)} ${bots === 1 ? 'event of a bot is' : 'events of bots are'} left out of all numbers.` : 'No bots came in this time.'}</span>}
          <span>Visitors are exact to about 1.6 %.</span>
        </footer>
      </main>
    </>
  );
}

function sameTiles(asked: readonly string[], known: readonly string[]): boolean {
  return known.every((name) => asked.includes(name));
}

/** From so old on numbers are called old: ten minutes are promised where it takes longest. */
const STALE_MS = 15 * 60_000;

/** How far the numbers are complete. */
function Freshness({ completeThrough, now, formats }: { completeThrough: string | null | undefined; now: number; formats: Formats }) {
  if (completeThrough === undefined) return <span class="fresh"><span class="skeleton" /></span>;
  if (completeThrough === null) return <span class="fresh stale"><i class="dot" />Nothing has been counted yet</span>;
  const through = Date.parse(completeThrough);
  const stale = now - through > STALE_MS;
  return (
    <span class={stale ? 'fresh stale' : 'fresh'} title={completeThrough}>
      <i class="dot" /><span class="fresh-words">{stale ? 'Old: complete' : 'Complete'} through </span>{formats.moment(through, now)} · {age(now - through)} ago
    </span>
  );
}

interface OverviewProps { site: string; view: View; timeZone: string; formats: Formats; change: (to: Partial<View>) => void }

/** The chart, and what it shows. */
function Overview({ site, view, timeZone, formats, change }: OverviewProps) {
  const { now } = useSession();
  const [asTable, setAsTable] = useState(false);
  const dates = datesOf(view.range, timeZone, now());
  const interval = intervalOf(view, dates);
  const choices = intervalsOf(dates, view.filter);
  const buckets = WINDOWS[interval];
  const parameters = { ...viewParameters(view), interval, metrics: view.metric };
  const { value: answers, trouble, loading, retry } = useLoaded(JSON.stringify([site, parameters, view.smooth]), async (client, signal) => {
    const alone = { ...viewParameters({ ...view, compare: 'none' }), interval, metrics: view.metric };
    const [plain, smoothed] = await Promise.all([client.read('timeseries', site, parameters, signal), view.smooth ? client.read('timeseries', site, { ...alone, smooth: String(buckets) }, signal) : undefined]);
    return { plain, smoothed };
  });
  const query = answers?.plain.query;
  const metric = query?.metrics[0] as View['metric'] | undefined;
  return (
    <div class="overview-chart">
      <div class="chart-head">
        <h2>{METRICS[view.metric].label}</h2>
        <Legend view={view} buckets={buckets} interval={interval} partial={answers?.plain.results.some(({ partial }) => partial) ?? false} />
        <div class="chart-tools">
          <button type="button" class="button quiet toggle" aria-pressed={view.smooth} onClick={() => { change({ smooth: !view.smooth }); }}>{buckets}-{interval} average</button>
          {choices.length > 1 && <Choice label="One value for each" choices={choices.map((id) => ({ id, label: INTERVALS[id] }))} chosen={interval} onChoose={(chosen) => { change({ interval: chosen }); }} />}
          <button type="button" class="button quiet square" aria-pressed={asTable} aria-label="As a table" title={asTable ? 'As lines' : 'As a table'} onClick={() => { setAsTable(!asTable); }}><Icon name={asTable ? 'line' : 'table'} /></button>
          <Download read="timeseries" site={site} parameters={parameters} what={METRICS[view.metric].label} />
        </div>
      </div>
      <div class={loading && answers ? 'chart-space old' : 'chart-space'} aria-busy={loading}>
        {trouble ? <Failed trouble={trouble} retry={retry} /> : answers && query && metric
          ? <Chart results={answers.plain.results} smoothed={answers.smoothed?.results} metric={metric} interval={query.interval} timeZone={timeZone} now={answers.plain.complete_through === null ? now() : Date.parse(answers.plain.complete_through)} formats={formats} asTable={asTable} />
          : <span class="skeleton chart-skeleton" />}
      </div>
    </div>
  );
}

function Legend({ view: { compare, smooth }, buckets, interval, partial }: { view: View; buckets: number; interval: string; partial: boolean }) {
  return (
    <ul class="legend" aria-label="Lines">
      <li><i class="key now" />This period</li>
      {partial && <li><i class="key partial" />Not complete yet</li>}
      {smooth && <li><i class="key average" />Average of {buckets} {interval}s</li>}
      {compare !== 'none' && <li><i class="key then" />{COMPARES[compare]}</li>}
    </ul>
  );
}

function Lists({ change, ...rest }: { site: string; view: View; formats: Formats; change: (to: Partial<View>) => void }) {
  const shared = { ...rest, onFilter: (filter: View['filter']) => { change({ filter }); } };
  return (
    <>
      <ListCard title="Pages" {...shared} lists={[
        { dimension: 'page', label: 'Top', metrics: ['pageviews'] }, { dimension: 'entry_page', label: 'Entry', metrics: ['visits'] }, { dimension: 'exit_page', label: 'Exit', metrics: ['exits'] },
      ]} />
      <ListCard title="Where visits come from" {...shared} lists={[
        { dimension: 'channel', label: 'Channels', metrics: ['visits', 'conversion_rate', 'revenue'] }, { dimension: 'source', label: 'Sources', metrics: ['visits', 'conversion_rate', 'revenue'] },
        { dimension: 'utm_campaign', label: 'Campaigns', metrics: ['visits', 'conversion_rate', 'revenue'] }, { dimension: 'referrer', label: 'Referrers', metrics: ['visits', 'conversion_rate', 'revenue'] },
      ]} />
      <ListCard title="Countries" {...shared} lists={[{ dimension: 'country', label: 'Countries', metrics: ['visits', 'conversion_rate', 'revenue'] }]} />
      <ListCard title="What with" {...shared} lists={[
        { dimension: 'device', label: 'Devices', metrics: ['visits', 'bounce_rate', 'conversion_rate'] }, { dimension: 'browser', label: 'Browsers', metrics: ['visits', 'bounce_rate', 'conversion_rate'] }, { dimension: 'os', label: 'Systems', metrics: ['visits', 'bounce_rate', 'conversion_rate'] },
      ]} />
      <ListCard title="Products" {...shared} lists={[{ dimension: 'product', label: 'Products', metrics: ['revenue', 'purchases', 'view_items'] }]} />
    </>
  );
}

/** Days that are looked back on to tell a new site from a quiet one. */
const LOOK_BACK = 'year';

/** A site without events in the range: how to begin, where there never were any. */
function Empty({ site, dates, formats }: { site: string; dates: { from: string; to: string }; formats: Formats }) {
  const parameters = { range: LOOK_BACK, metrics: BESIDE.join(',') };
  const { value } = useLoaded(JSON.stringify([site, parameters]), (client, signal) => client.read('stats', site, parameters, signal));
  if (!value) return null;
  if (BESIDE.some((name) => (value.results[0]?.metrics[name] ?? 0) > 0)) return <p class="notice" role="status">There were no events in {formats.range(dates.from, dates.to)}.</p>;
  return (
    <section class="card wide welcome" aria-label="Getting started">
      <h2>No events yet</h2>
      <p>Paste this into the head of every page of your shop. The first visit shows up here about a minute later.</p>
      <Snippet site={site} />
    </section>
  );
}

restoreTheme();
render(<Page />, document.querySelector('#page')!);
