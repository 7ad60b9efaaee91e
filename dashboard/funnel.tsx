// The steps to an order, each with its share of the first and of the one before.
import type { FunnelResult, FunnelStep } from '../core/serve.ts';
import { metricsOf, rounded } from '../core/metrics.ts';
import type { Client } from './client.ts';
import { Download } from './download.tsx';
import { NOTHING, type Formats } from './formats.ts';
import { useLoaded } from './loading.ts';
import { Card, Failed } from './pieces.tsx';
import { rangeParameters, viewParameters, type View } from './view.ts';

const STEPS = { view_item: ['Product viewed', 'view_items'], add_to_cart: ['Added to cart', 'add_to_carts'], begin_checkout: ['Checkout begun', 'checkouts'], purchase: ['Ordered', 'purchases'] } as const satisfies Record<FunnelStep, readonly [string, string]>;
const STEP_NAMES = Object.keys(STEPS) as FunnelStep[];

/** Whether the steps are known of the value that is filtered by. */
function isFiltered({ filter }: View): boolean {
  const known: readonly string[] = filter ? metricsOf(filter.dimension) : [];
  return Object.values(STEPS).every(([, metric]) => known.includes(metric));
}

async function stepsOf(client: Client, site: string, view: View, signal: AbortSignal): Promise<FunnelResult[]> {
  if (!isFiltered(view)) return (await client.read('funnel', site, rangeParameters(view.range), signal)).results;
  // The funnel's own route knows no filter; the same sums do.
  const metrics = Object.values(STEPS).map(([, metric]) => metric).join(',');
  const values = (await client.read('stats', site, { ...viewParameters({ ...view, compare: 'none' }), metrics }, signal)).results[0]!.metrics;
  const first = values.view_items ?? 0;
  return STEP_NAMES.map((step) => {
    const events = values[STEPS[step][1]] ?? 0;
    return { step, events, share: first === 0 ? null : rounded(events / first) };
  });
}

export function Funnel({ site, view, formats }: { site: string; view: View; formats: Formats }) {
  const question = JSON.stringify([site, view.range, isFiltered(view) && view.filter]);
  const { value: steps, trouble, loading, retry } = useLoaded(question, (client, signal) => stepsOf(client, site, view, signal));
  return (
    <Card title="From product to order" tools={<Download read="funnel" site={site} parameters={rangeParameters(view.range)} what="the funnel" />}>
      {trouble ? <Failed trouble={trouble} retry={retry} /> : (
        <ol class={loading && steps ? 'funnel old' : 'funnel'} aria-busy={loading}>
          {STEP_NAMES.map((name, i) => {
            const step = steps?.find(({ step: its }) => its === name);
            const before = steps?.find(({ step: its }) => its === STEP_NAMES[i - 1]);
            return (
              <li key={name}>
                <div class="funnel-head"><span>{STEPS[name][0]}</span>{step ? <b class="number">{formats.count(step.events)}</b> : <span class="skeleton number-skeleton" />}</div>
                <div class="funnel-track"><div class="funnel-bar" style={{ width: `${Math.min(1, step?.share ?? 0) * 100}%` }} /></div>
                <div class="funnel-foot">
                  <span>{step ? `${formats.share(step.share)} of views` : NOTHING}</span>
                  {before && step && <span>{before.events > 0 ? `${formats.share(step.events / before.events)} of the step before` : NOTHING}</span>}
                </div>
              </li>
            );
          })}
        </ol>
      )}
    </Card>
  );
}
