// The tracker: turns what happens on a merchant's page into events and sends them, many at once. Whatever goes wrong in
// it, the page never notices. before: the page; next: POST /e (core/collect.ts)

type Call = [name: string, fields?: Record<string, unknown>];

/** What the page calls; until the script has come, a function of the page's own that notes its calls in `q`. */
interface Footfall {
  (...call: Call): void;
  q?: Call[];
  /** Nothing more is sent from this browser, as far as it remembers; undone by optIn. */
  optOut?: () => void;
  optIn?: () => void;
  /** Who this is, where the merchant has consent; without an id nobody in particular. */
  identify?: (id?: string) => void;
}

declare global {
  /** The address of the doors, by the build; empty where they are beside the script. */
  const COLLECT: string;
  interface Window { footfall?: Footfall }
  interface Document { prerendering?: boolean }
  interface Navigator { globalPrivacyControl?: boolean }
}

/** An event on its way: the key it is kept under, when it was (epoch ms), and its JSON but for its age. */
interface Waiting { key: string; at: number; json: string }

const BATCH_MS = 5_000;
const BATCH_EVENTS = 20;
/** Most of one request, and of what is kept for another attempt: below what the door takes. */
const MOST_EVENTS = 100;
const MOST_BYTES = 60_000;
/** The oldest age that the door takes. */
const MAX_AGE_MS = 1_800_000;
const KEPT_MS = 86_400_000;
/** Doublings of the pause between attempts. */
const MOST_DOUBLINGS = 6;
const MAX_URL = 2_048;
const FIELD = /^(value|currency|transaction_id|items)$/;
const FILE = /\.(pdf|zip|docx?|xlsx?|pptx?|csv|mp[34]|exe|dmg|apk)$/i;

/** The same function, but one that does not throw: the page may have broken anything, and the browser may lack it. */
const quietly = <A extends unknown[], R>(work: (...args: A) => R) => (...args: A): R | undefined => {
  try {
    return work(...args);
  } catch {
    return undefined;
  }
};

quietly(() => {
  const early = window.footfall;
  // A second copy of the script counts nothing.
  if (early?.identify) return;
  const script = (document.currentScript ?? document.querySelector('script[data-site]')) as HTMLScriptElement;
  const options = script.dataset;
  const { site } = options;
  const endpoint = COLLECT ? `${COLLECT}e` : new URL('e', script.src).href;

  let visitor: string | undefined;
  let queue: Waiting[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let sending = 0;
  let failures = 0;

  // ---- What the browser remembers; only this page, where it does not let us or has no room

  let storage: Record<string, string> = quietly(() => localStorage)() ?? {};
  const OUT = 'footfall:out';
  const KEPT = `footfall:${site}:`;

  const put = (key: string, text: string) => {
    try {
      storage[key] = text;
    } catch {
      storage = { [key]: text };
    }
  };

  const silent = () => !site || !/^http/.test(location.protocol) || storage[OUT]
    || (options.respectDnt != null && (navigator.doNotTrack === '1' || navigator.globalPrivacyControl));

  const sizeOf = (text: string) => new Blob([text]).size;

  /** Takes from the front of a list what fits into one request. */
  const take = (events: Waiting[]) => {
    let n = 0;
    let bytes = 0;
    while (n < MOST_EVENTS && events[n] && (bytes += sizeOf(events[n]!.json)) <= MOST_BYTES) n++;
    return events.splice(0, n);
  };

  const forget = (events: Waiting[]) => { for (const { key } of events) delete storage[key]; };

  /** The events kept for another attempt, of other pages and tabs too, newest first; what is more than a request or older than a day goes. */
  const kept = (): Waiting[] => {
    const all = Object.keys(storage).filter((key) => key.startsWith(KEPT))
      // Milliseconds have 13 digits until 2286.
      .map((key) => ({ key, at: +storage[key]!.slice(0, 13), json: storage[key]!.slice(13) })).sort((a, b) => b.at - a.at);
    const young = silent() ? [] : take(all.filter(({ at }) => Date.now() - at < KEPT_MS));
    forget(all.filter((event) => !young.includes(event)));
    return young;
  };

  /** Each under a key of its own, so that two tabs never write the same one. */
  const keep = (events: Waiting[]) => {
    for (const { key, at, json } of events) put(key, at + json);
    kept();
  };

  // ---- Sending

  const bodyOf = (events: Waiting[]) => `{"site":${JSON.stringify(site)},"events":[${events.map(({ at, json }) =>
    `${json.slice(0, -1)},"age":${Math.min(Math.max(Date.now() - at, 0), MAX_AGE_MS)}}`).join()}]}`;

  const beacon = quietly((events: Waiting[]) => navigator.sendBeacon(endpoint, bodyOf(events)));

  const post = (events: Waiting[]) => {
    sending++;
    const answered = quietly((again: boolean) => {
      sending--;
      failures = again ? failures + 1 : 0;
      (again ? keep : forget)(events);
      wait();
    });
    try {
      fetch(endpoint, { method: 'POST', body: bodyOf(events), keepalive: true, credentials: 'omit' })
        .then(({ status }) => answered(status > 499), () => answered(true));
    } catch {
      answered(!beacon(events));
    }
  };

  const send = quietly(() => {
    clearTimeout(timer);
    timer = undefined;
    if (sending) return;
    const batch = take([...kept().reverse(), ...queue]);
    queue = queue.filter((event) => !batch.includes(event));
    if (batch[0]) post(batch);
  });

  /** Sends in a while, if there is anything by then. */
  const wait = () => { timer ??= setTimeout(send, BATCH_MS * 2 ** Math.min(failures * (1 - Math.random() / 4), MOST_DOUBLINGS)); };

  /** The page may be gone at once. Nobody would hear that a beacon failed, so while sending fails events are kept. */
  const leave = () => {
    const all = queue.splice(0);
    if (failures || navigator.onLine === false) keep(all);
    else while (all[0]) {
      const batch = take(all);
      if (!beacon(batch)) post(batch);
    }
  };

  // ---- Events

  const page = quietly(() => crypto.getRandomValues(new Uint32Array(2)).join('-'))() ?? Math.random();
  let count = 0;
  let last = 0;

  /** The page's address: without its fragment or, where routes are fragments, with it as the end of the path. */
  const address = () => {
    const { pathname, hash } = location;
    const path = options.hash != null && hash ? pathname.replace(/\/?$/, () => hash.replace(/^#!?\/?/, '/')) : pathname;
    return (location.origin + (path + location.search).replace(/\?(.*)\?/, '?$1&')).slice(0, MAX_URL);
  };

  const record = quietly((...[name, fields]: Call) => {
    if (silent()) return;
    const { props, ...rest } = { ...fields };
    const more: Record<string, unknown> = { ...props as object };
    const id = `${page}.${count++}`;
    const event: Record<string, unknown> = { name, id, url: address(), referrer, visitor };
    for (const key in rest) (FIELD.test(key) ? event : more)[key] = rest[key];
    for (const key in more) {
      if (more[key] == null) delete more[key];
      else if (!/^[bn]/.test(typeof more[key])) more[key] = `${more[key] as string}`.slice(0, 256);
      event.props = more;
    }
    let json = JSON.stringify(event);
    // What it is worth counts even where the list of what was bought is too long.
    if (sizeOf(json) > MOST_BYTES) json = JSON.stringify({ ...event, items: undefined, props: undefined });
    if (sizeOf(json) > MOST_BYTES) return;
    // One after the other, so that events of the same moment keep their order.
    queue.push({ key: KEPT + id, at: last = Math.max(Date.now(), last + 1), json });
    if (queue.length < BATCH_EVENTS) wait();
    else if (failures || sending) keep(queue.splice(0));
    else send();
  });

  // ---- The page

  let viewed = '';
  let referrer = /^http/.test(document.referrer) ? document.referrer.slice(0, MAX_URL) : undefined;
  let due = false;

  /** A page is viewed when it is seen: in a background tab, when that is looked at. */
  const view = () => {
    due = document.hidden;
    if (due) return;
    const now = address();
    if (viewed && viewed !== now) referrer = viewed;
    viewed = now;
    record('page_view');
  };

  const moved = quietly(() => { if (address() !== viewed) view(); });

  const clicked = (event: MouseEvent) => {
    const link = event.composedPath().find((one) => (one as Element).localName === 'a') as HTMLAnchorElement;
    if (event.button > 1 || !/^http/.test(link.protocol)) return;
    if (options.downloads != null && (link.hasAttribute('download') || FILE.test(link.pathname))) record('file_download', { url: link.href });
    else if (options.outbound != null && link.host !== location.host) record('outbound_click', { url: link.href });
  };

  const on = (kind: string, work: (event: never) => void) => { addEventListener(kind, quietly(work) as EventListener, true); };

  let begun = false;
  const calls = early?.q ?? [];
  const footfall: Footfall = (...call) => { if (begun) record(...call); else calls.push(call); };
  footfall.optOut = quietly(() => {
    put(OUT, '1');
    queue = [];
    kept();
  });
  footfall.optIn = quietly(() => { delete storage[OUT]; });
  footfall.identify = quietly((id) => {
    visitor = id ? `${id}`.slice(0, 64) : undefined;
    // What still waits is the same visitor's.
    if (visitor) for (const event of queue) event.json = `${event.json.slice(0, -1)},"visitor":${JSON.stringify(visitor)}}`;
  });
  footfall.identify(options.visitor);
  window.footfall = footfall;

  const begin = quietly(() => {
    begun = true;
    view();
    for (const call of calls) record(...call);
    on('pagehide', leave);
    on('visibilitychange', () => { if (document.hidden) leave(); else if (due) view(); });
    on('pageshow', ({ persisted }: PageTransitionEvent) => { if (persisted) view(); });
    on('online', send);
    on('popstate', moved);
    on('click', clicked);
    on('auxclick', clicked);
    for (const name of ['pushState', 'replaceState'] as const) {
      // eslint-disable-next-line @typescript-eslint/unbound-method -- It is called on what the page calls it on.
      const original = history[name];
      history[name] = function (...args) {
        original.apply(this, args);
        moved();
      };
    }
    wait();
  });
  if (document.prerendering) document.addEventListener('prerenderingchange', begin);
  else begin();
})();

export {};
