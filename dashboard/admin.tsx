// The operator's page: sites and their keys, and the state of the rollups. before: the admin API (lambdas/admin.ts)
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { AdminKeys } from './admin-keys.tsx';
import { Rollups } from './admin-rollups.tsx';
import { Sites } from './admin-sites.tsx';
import type { KeyInfo } from './client.ts';
import { Icon, Mark, ThemeSwitch, restoreTheme } from './pieces.tsx';
import { Gate, TroubleBar, type SignedIn } from './sign-in.tsx';
import './theme.css';
import './admin.css';

const PARTS = { sites: 'Sites', rollups: 'Rollups', keys: 'Admin keys' } as const;
type Part = keyof typeof PARTS;

/** What is looked at, as the address says it. */
export interface Place { part: Part; site: string | undefined }

function placeOf(search: string): Place {
  const given = new URLSearchParams(search);
  const part = given.get('part') ?? 'sites';
  return { part: Object.hasOwn(PARTS, part) ? part as Part : 'sites', site: given.get('site') ?? undefined };
}

function searchOf({ part, site }: Place): string {
  const parameters = new URLSearchParams({ ...(part !== 'sites' && { part }), ...(site !== undefined && { site }) });
  return parameters.size === 0 ? '' : `?${parameters.toString()}`;
}

function refuses({ scope }: KeyInfo): string | undefined {
  return scope === 'admin' ? undefined : `This is a ${scope} key of one site: this page takes an admin key.${scope === 'read' ? ' Your numbers are on the page /.' : ''}`;
}

function Page() {
  return (
    <Gate title="Sites, keys, rollups" placeholder="ff_admin_…" refuses={refuses} invitation="Sign in with an admin key. The first one was shown when Footfall was first started.">
      {(signedIn) => <Shown signedIn={signedIn} />}
    </Gate>
  );
}

function Shown({ signedIn: { info, signOut, refresh, trouble } }: { signedIn: SignedIn }) {
  const [place, setPlace] = useState(() => placeOf(window.location.search));
  useEffect(() => {
    const follow = () => { setPlace(placeOf(window.location.search)); };
    window.addEventListener('popstate', follow);
    return () => { window.removeEventListener('popstate', follow); };
  }, []);
  const go = (to: Place) => {
    setPlace(to);
    history.pushState(null, '', window.location.pathname + searchOf(to));
  };
  return (
    <>
      <header class="top">
        <div class="brand"><Mark /><h1>Footfall</h1><span class="muted">Admin</span></div>
        <nav class="parts" aria-label="Parts of this page">
          {(Object.entries(PARTS) as [Part, string][]).map(([part, label]) => (
            <a key={part} href={`${window.location.pathname}${searchOf({ part, site: undefined })}`} aria-current={part === place.part ? 'page' : undefined} onClick={(event) => {
              // With a modifier the browser opens it elsewhere.
              if (event.ctrlKey || event.metaKey || event.shiftKey) return;
              event.preventDefault();
              go({ part, site: undefined });
            }}>{label}</a>
          ))}
        </nav>
        <div class="top-tools">
          <ThemeSwitch />
          <button type="button" class="button quiet square" aria-label="Sign out" title="Sign out" onClick={signOut}><Icon name="leave" /></button>
        </div>
      </header>
      <main class="page admin">
        <TroubleBar trouble={trouble} refresh={refresh} />
        {place.part === 'sites' && <Sites chosen={place.site} onChoose={(site) => { go({ part: 'sites', site }); }} />}
        {place.part === 'rollups' && <Rollups />}
        {place.part === 'keys' && <AdminKeys own={info.id} />}
      </main>
    </>
  );
}

restoreTheme();
render(<Page />, document.querySelector('#page')!);
