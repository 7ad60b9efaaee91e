// What a function learns from where it runs. Both sides read this one table: lib/ has to give each function just these
// variables, and a function cannot ask for others. It must not import anything, so that lib/ brings no SDK with it.

/** The functions, and the environment variables of each beside `SERVICE`, which is what the deployment is called. */
export const ENVIRONMENT = {
  transform: ['REGISTRY_TABLE', 'REPLAY_STREAM', 'RAW_DAYS'],
  ingest: ['REGISTRY_TABLE', 'STREAM'],
  serve: ['REGISTRY_TABLE', 'METRICS_TABLE'],
  admin: ['REGISTRY_TABLE', 'BUCKET', 'RAW_DAYS'],
  schedule: ['REGISTRY_TABLE', 'BUCKET', 'TASKS_QUEUE', 'NOTICES_QUEUE', 'DELIVERY_STREAM', 'DELIVERY_SECONDS'],
  rollup: ['REGISTRY_TABLE', 'BUCKET', 'TASKS_QUEUE', 'WORKGROUP', 'DATABASE', 'LOAD_FUNCTION'],
  load: ['METRICS_TABLE', 'BUCKET'],
  reprocess: ['REGISTRY_TABLE', 'BUCKET', 'TASKS_QUEUE', 'REPLAY_STREAM', 'DELIVERY_SECONDS', 'RAW_DAYS'],
  retry: ['BUCKET', 'REPLAY_STREAM'],
} as const satisfies Record<string, readonly string[]>;

/** A number of days as a variable says it, in ms. */
export function daysInMs(days: string): number {
  return Number(days) * 86_400_000;
}

export type FunctionName = keyof typeof ENVIRONMENT;
export type Environment<F extends FunctionName> = Readonly<Record<'SERVICE' | (typeof ENVIRONMENT)[F][number], string>>;

/** The variables of a function. Throws where one is missing or empty, naming all that are. */
export function environmentOf<F extends FunctionName>(name: F, variables: Readonly<Record<string, string | undefined>>): Environment<F> {
  const own = ['SERVICE', ...ENVIRONMENT[name]];
  const missing = own.filter((variable) => !variables[variable]);
  if (missing.length > 0) throw new Error(`the function ${name} has no ${missing.join(', ')} in its environment`);
  return Object.fromEntries(own.map((variable) => [variable, variables[variable]!])) as Environment<F>;
}

/** What S3 keeps where, in the one bucket: whoever writes and whoever is notified have to agree. */
export const PREFIXES = {
  /** Rows by event hour, `events/dt=YYYY-MM-DD/hr=HH/`. */
  events: 'events/',
  /** Records as they came, by hour of arrival, `raw/dt=YYYY-MM-DD/hr=HH/`. */
  raw: 'raw/',
  /** What could not become rows, by kind of failure. */
  failed: 'failed/',
  /** Runs of rollups, `hours/run=…/`, the steps they came from, what they changed, and what is to be loaded of them. */
  hours: 'hours/',
  steps: 'steps/',
  changes: 'changes/',
  items: 'items/',
  /** What Athena says of its queries. */
  athena: 'athena/',
} as const;

/** How the objects under `events/` begin that hold rows of a replay: they make their hour due behind live ones. */
export const REPLAYED = 'replay-';
/** Records that the transform did not answer for lie under here; `retry` sends them again, once. */
export const SKIPPED = `${PREFIXES.failed}processing-failed/`;

/** The namespace of all metrics, and what the functions say in it; alarms and the dashboard take their names from here. */
export const NAMESPACE = 'Footfall';
/** The one dimension of each: the deployment (`SERVICE`), whichever of its functions says the number. */
export const DIMENSION = 'service';
export const SIGNALS = {
  /** deliver: events that became rows, of them refused ones, and records that are no envelopes. */
  events: 'Events',
  rejected: 'Rejected',
  undeliverable: 'Undeliverable',
  /** deliver: records set aside since their rows would not fit into one answer. */
  setAside: 'SetAside',
  /** schedule: seconds from now back to the moment up to which the numbers are complete. */
  freshness: 'Freshness',
  /** schedule: tasks that wait, and those that failed too often. */
  waitingTasks: 'WaitingTasks',
  parkedTasks: 'ParkedTasks',
  /** rollup: tasks done and attempts failed, items written, and bytes that queries read. */
  tasksDone: 'TasksDone',
  tasksFailed: 'TasksFailed',
  itemsWritten: 'ItemsWritten',
  bytesScanned: 'BytesScanned',
  /** retry: records sent through the transform again. */
  retried: 'Retried',
  /** HTTP functions: errors that are ours. */
  errors: 'Errors',
} as const;
export type Signal = (typeof SIGNALS)[keyof typeof SIGNALS];
