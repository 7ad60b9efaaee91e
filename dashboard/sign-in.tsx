// Signing in: a key is asked who it is, and kept for as long as the tab is open, nowhere else.
// before: the person who has the key; next: dashboard/merchant.tsx, dashboard/admin.tsx
import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Trouble, clientOf, type Client, type KeyInfo } from './client.ts';
import { SessionContext, type Session } from './loading.ts';
import { Failed, Icon, Mark, ThemeSwitch, storage } from './pieces.tsx';

const KEPT = 'footfall-key';
const KEY = /^ff_(read|write|admin)_[0-9A-Za-z]{43}$/;
const REFRESH_MS = 60_000;

/** Takes the key out of the address (`#key=…`), where the next look over the shoulder would find it. */
function keyOfAddress(): string | undefined {
  const key = new URLSearchParams(window.location.hash.slice(1)).get('key');
  if (key === null) return undefined;
  history.replaceState(history.state, '', window.location.pathname + window.location.search);
  return key;
}

export interface SignedIn { info: KeyInfo; signOut: () => void; refresh: () => void; /** What concerns the whole page; undefined while all is well. */ trouble: Trouble | undefined }

interface GateProps {
  title: string;
  /** What to sign in with, and what is seen then. */
  invitation: ComponentChildren;
  placeholder: string;
  /** Why the page has nothing for a key that is valid; undefined where it has. */
  refuses: (info: KeyInfo) => string | undefined;
  children: (signedIn: SignedIn) => ComponentChildren;
}

type State = { is: 'out'; message?: string; revoked?: boolean } | { is: 'asking' | 'failed'; key: string; trouble?: Trouble } | { is: 'in'; key: string; info: KeyInfo };

/** Shows its children to who has a key for them; to others the form. */
export function Gate({ title, invitation, placeholder, refuses, children }: GateProps) {
  const [state, setState] = useState<State>(() => {
    const key = keyOfAddress() ?? storage(() => sessionStorage.getItem(KEPT));
    return key ? { is: 'asking', key } : { is: 'out' };
  });
  const [round, setRound] = useState(0);
  const [trouble, setTrouble] = useState<Trouble>();
  const skew = useRef(0);
  const key = state.is === 'out' ? undefined : state.key;
  const client = useMemo(() => key === undefined ? undefined : clientOf({ key, onSkew: (ms) => { skew.current = ms; } }), [key]);
  const now = useCallback(() => Date.now() + skew.current, []);

  const signOut = useCallback((message?: string, revoked = false) => {
    storage(() => { sessionStorage.removeItem(KEPT); });
    setTrouble(undefined);
    setState({ is: 'out', revoked, ...(message !== undefined && { message }) });
  }, []);
  const refresh = useCallback(() => {
    setTrouble(undefined);
    setRound((n) => n + 1);
  }, []);
  const onTrouble = useCallback((found: Trouble | undefined) => {
    if (found === undefined) setTrouble(undefined);
    else if (found.status === 401) signOut('The key that this tab was signed in with has been revoked. Ask for a new one where you got it.', true);
    else if (found.status === 0 || found.status === 429 || found.status >= 500) setTrouble(found);
  }, [signOut]);

  useEffect(() => {
    if (state.is !== 'asking' || !client) return undefined;
    const ending = new AbortController();
    whoIs(client, ending.signal).then((info) => {
      const refused = refuses(info);
      if (refused !== undefined) {
        signOut(refused);
        return;
      }
      storage(() => { sessionStorage.setItem(KEPT, state.key); });
      setState({ is: 'in', key: state.key, info });
    }, (error: unknown) => {
      if (ending.signal.aborted) return;
      if (error instanceof Trouble && error.status === 401) signOut('This key is not valid. It may have been revoked, or a part of it is missing.');
      else setState({ is: 'failed', key: state.key, trouble: error instanceof Trouble ? error : new Trouble(0, String(error)) });
    });
    return () => { ending.abort(); };
  }, [state, client, refuses, signOut]);

  useEffect(() => {
    if (state.is !== 'in') return undefined;
    let last = Date.now();
    const tick = () => {
      if (document.visibilityState !== 'visible' || Date.now() - last < REFRESH_MS) return;
      last = Date.now();
      refresh();
    };
    // Looked at often, so that a page that comes into view again is not old.
    const timer = setInterval(tick, 5000);
    document.addEventListener('visibilitychange', tick);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', tick);
    };
  }, [state.is, refresh]);

  const session = useMemo<Session | undefined>(() => client && { client, round, now, onTrouble }, [client, round, now, onTrouble]);
  if (state.is === 'in' && session) {
    return <SessionContext.Provider value={session}>{children({ info: state.info, signOut, refresh, trouble })}</SessionContext.Provider>;
  }
  return (
    <div class="gate">
      <div class="gate-tools"><ThemeSwitch /></div>
      <main class="gate-card">
        <div class="brand"><Mark /><span>Footfall</span></div>
        <h1>{title}</h1>
        {state.is === 'failed' && state.trouble
          ? <Failed trouble={state.trouble} retry={() => { setState({ is: 'asking', key: state.key }); }} />
          : <KeyForm asking={state.is === 'asking'} message={state.is === 'out' ? state.message : undefined} revoked={state.is === 'out' && state.revoked === true}
              invitation={invitation} placeholder={placeholder} onKey={(given) => { setState({ is: 'asking', key: given }); }} onWrong={(message) => { setState({ is: 'out', message }); }} />}
        {state.is === 'failed' && <button type="button" class="button quiet" onClick={() => { signOut(); }}>Use another key</button>}
      </main>
    </div>
  );
}

/** Asks who the key is; a server that is busy is asked again when it says so. */
async function whoIs(client: Client, signal: AbortSignal): Promise<KeyInfo> {
  for (let tries = 0; ; tries++) {
    try {
      return await client.key(signal);
    } catch (error) {
      if (!(error instanceof Trouble) || error.status !== 429 || tries === 3) throw error;
      await new Promise((resolve) => { setTimeout(resolve, Math.max(1000, error.retryAfterMs)); });
    }
  }
}

interface KeyFormProps { asking: boolean; message: string | undefined; revoked: boolean; invitation: ComponentChildren; placeholder: string; onKey: (key: string) => void; onWrong: (message: string) => void }

function KeyForm({ asking, message, revoked, invitation, placeholder, onKey, onWrong }: KeyFormProps) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => { if (!asking) field.current?.focus(); }, [asking, message]);
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? '';
    if (KEY.test(key)) onKey(key);
    else onWrong(`This is no key: a key is ${placeholder.replace('…', '')} and 43 letters and digits.`);
  };
  return (
    <form onSubmit={onSubmit}>
      {revoked ? <p class="notice bad"><strong>Signed out.</strong> {message}</p> : <p class="muted">{invitation}</p>}
      <label for="key">Key</label>
      <input id="key" ref={field} type="password" autocomplete="off" spellcheck={false} placeholder={placeholder} disabled={asking} aria-invalid={message !== undefined && !revoked} aria-describedby={message === undefined ? undefined : 'key-problem'} />
      {!revoked && message !== undefined && <p id="key-problem" class="problem" role="alert">{message}</p>}
      <button type="submit" class="button primary" disabled={asking}>{asking ? 'Signing in …' : 'Sign in'}</button>
      <p class="fine">The key stays in this tab and is forgotten when you close it.</p>
    </form>
  );
}

/** What is wrong with the page as a whole, above everything; the numbers below are the last ones that came. */
export function TroubleBar({ trouble, refresh }: { trouble: Trouble | undefined; refresh: () => void }) {
  if (!trouble) return null;
  const busy = trouble.status === 429;
  return (
    <div class="notice bar" role="status">
      <Icon name="line" />
      <span>{busy ? `Footfall was asked too often with this key. The page goes on by itself${trouble.retryAfterMs > 0 ? ` in ${Math.ceil(trouble.retryAfterMs / 1000)} s` : ''}.` : `${trouble.message} Numbers that are here already are the last that came.`}</span>
      {!busy && <button type="button" class="button" onClick={refresh}>Try again</button>}
    </div>
  );
}
