// How a part of a page asks the API: what it had stays until the new answer is there, so that nothing jumps.
import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import { createContext } from 'preact';
import { Trouble, type Client } from './client.ts';

/** What the parts of a page share. */
export interface Session {
  client: Client;
  /** Counts up where everything is to be asked again. */
  round: number;
  /** Epoch ms on the server's clock. */
  now: () => number;
  /** Is told of what concerns the page as a whole: a key that is no longer valid, a server that is busy or away; undefined when it is over. */
  onTrouble: (trouble: Trouble | undefined) => void;
}

export const SessionContext = createContext<Session | undefined>(undefined);

/** The session of the page. Throws outside of one. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useSession outside of a session: accepts a part of a page that is signed in');
  return session;
}

export interface Loaded<T> {
  /** The last answer; to the question before while the next one is on its way. */
  value: T | undefined;
  /** Why there is no answer to this question; also while it is asked again. */
  trouble: Trouble | undefined;
  loading: boolean;
  retry: () => void;
}

/** Least pause before a busy server is asked again, and how often it is. */
const BUSY_MS = 1000;
const BUSY_TRIES = 5;

/**
 * Asks whenever the question, or the session's round, changes. A server that is busy (429, 503) is asked again when it
 * says so.
 * @param question names what is asked: another name is another question
 */
export function useLoaded<T>(question: string, load: (client: Client, signal: AbortSignal) => Promise<T>): Loaded<T> {
  const session = useSession();
  const { client, round } = session;
  const [state, setState] = useState<{ question: string; value?: T; trouble?: Trouble | undefined; loading: boolean }>({ question, loading: true });
  const [tries, setTries] = useState(0);
  const latest = useRef({ load, session });
  latest.current = { load, session };
  useEffect(() => {
    const ending = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let busy = 0;
    const ask = async () => {
      try {
        const value = await latest.current.load(client, ending.signal);
        if (busy > 0) latest.current.session.onTrouble(undefined);
        setState({ question, value, loading: false });
      } catch (error) {
        if (ending.signal.aborted) return;
        const trouble = error instanceof Trouble ? error : new Trouble(0, String(error));
        latest.current.session.onTrouble(trouble);
        const again = (trouble.status === 429 || trouble.status === 503) && ++busy <= BUSY_TRIES;
        if (again) timer = setTimeout(() => { void ask(); }, Math.max(BUSY_MS, trouble.retryAfterMs));
        // An answer to this very question is old rather than wrong.
        setState((before) => ({ ...(before.question === question && before), question, loading: again, ...(!again && { trouble }) }));
      }
    };
    setState((before) => ({ ...before, trouble: undefined, loading: true }));
    void ask();
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [client, question, round, tries]);
  return {
    value: state.value,
    trouble: state.question === question && state.value === undefined ? state.trouble : undefined,
    loading: state.loading || state.question !== question,
    retry: () => { setTries((n) => n + 1); },
  };
}

/** Runs what a person asked for, and keeps what became of it. */
export function useAction<A extends unknown[]>(act: (...given: A) => Promise<void>): { run: (...given: A) => void; running: boolean; trouble: Trouble | undefined } {
  const { onTrouble } = useSession();
  const [state, setState] = useState<{ running: boolean; trouble?: Trouble }>({ running: false });
  const run = (...given: A) => {
    setState({ running: true });
    act(...given).then(
      () => { setState({ running: false }); },
      (error: unknown) => {
        const trouble = error instanceof Trouble ? error : new Trouble(0, String(error));
        onTrouble(trouble);
        setState({ running: false, trouble });
      },
    );
  };
  return { run, running: state.running, trouble: state.trouble };
}

/** The time, in steps of so many ms. */
export function useNow(now: () => number, everyMs: number): number {
  const [time, setTime] = useState(now);
  useEffect(() => {
    const timer = setInterval(() => { setTime(now()); }, everyMs);
    return () => { clearInterval(timer); };
  }, [now, everyMs]);
  return Math.max(time, 0);
}
