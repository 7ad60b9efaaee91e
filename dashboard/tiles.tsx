// The nine numbers, each with its change; a click puts one into the chart.
import { METRICS, DIMENSIONS } from '../core/metrics.ts';
import type { Filter } from '../core/query.ts';
import type { StatsResult } from '../core/serve.ts';
import { NOTHING, isBetter, type Formats } from './formats.ts';
import { TILES, tilesOf, type Tile } from './view.ts';

interface TilesProps { result: StatsResult | undefined; loading: boolean; chosen: Tile; onChoose: (tile: Tile) => void; filter: Filter | undefined; formats: Formats; comparedWith: string | undefined }

export function Tiles({ result, loading, chosen, onChoose, filter, formats, comparedWith }: TilesProps) {
  const known = tilesOf(filter);
  return (
    <div class="tiles" role="group" aria-label="Key figures" aria-busy={loading}>
      {TILES.map((name) => {
        const exists = known.includes(name);
        const value = result?.metrics[name];
        const before = result?.comparison?.[name];
        return (
          <button key={name} type="button" class="tile" aria-pressed={name === chosen} disabled={!exists} onClick={() => { onChoose(name); }}>
            <span class="tile-label">{METRICS[name].label}</span>
            {!exists && filter ? <span class="tile-absent">Not kept by {DIMENSIONS[filter.dimension].label.toLowerCase()}</span>
              : result === undefined ? <span class="skeleton tile-skeleton" />
                : <>
                  <span class="tile-value" data-metric={name} title={formats.full(name, value)}>{formats.short(name, value)}</span>
                  {comparedWith !== undefined && <span class="tile-foot" title={`${formats.full(name, before)} in ${comparedWith}`}><Change metric={name} change={result.change?.[name]} formats={formats} /></span>}
                </>}
          </button>
        );
      })}
    </div>
  );
}

/** A change: where it went by its arrow, whether that is good by its shape, and both in words for who does not see them. */
export function Change({ metric, change, formats }: { metric: Tile; change: number | null | undefined; formats: Formats }) {
  if (change === null || change === undefined) return <span class="change none">{NOTHING}<span class="unseen"> nothing to compare with</span></span>;
  const better = isBetter(metric, change);
  if (better === undefined) return <span class="change none"><span aria-hidden="true">=</span> {formats.change(0)}<span class="unseen"> no change</span></span>;
  return (
    <span class={better ? 'change good' : 'change bad'}>
      <svg class="arrow" viewBox="0 0 8 8" aria-hidden="true"><path d={change > 0 ? 'M4 1 7.5 7h-7z' : 'M4 7 .5 1h7z'} /></svg>
      {formats.change(change)}<span class="unseen"> {better ? 'better' : 'worse'} than before</span>
    </span>
  );
}
