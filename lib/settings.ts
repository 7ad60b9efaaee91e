// What can be set about a deployment, with what holds where nothing is said. before: bin/footfall.ts; next: lib/data.ts
// and lib/service.ts

/** A name of one's own for an API or a distribution, and the certificate it is shown with. */
export interface Domain {
  name: string;
  /** ARN of an ACM certificate for the name: in us-east-1 for `collect` and `pages`, in the deployment's region for `api`. */
  certificate: string;
}

/** A limit on the requests of all callers together: so many a second, and so many at once. */
export interface Throttle { perSecond: number; burst: number }

/** What can be set. Numbers that follow from each other or from a limit of AWS are not here, but where they are used. */
export interface Settings {
  /** The data stack and its tables refuse to be deleted. @default true */
  protected?: boolean;
  /** Shards of the stream, 1 MB/s and 1,000 records/s each: cheaper where traffic is steady. @default none: on demand */
  shards?: number;
  /** Days for which records as they came are kept, and with them the salts of cookieless visitors. @default 30 */
  rawDays?: number;
  /** Seconds Firehose collects rows before it writes an object, 60 to 900: fewer mean fresher numbers and more objects. @default 60 */
  deliverySeconds?: number;
  /** MiB at which it writes sooner, 64 (the least where it converts to Parquet) to 128. @default 128 */
  deliveryMiB?: number;
  /** Minutes between two looks at what is due: more mean fewer writes to the metrics table, the largest cost. @default 5 */
  scheduleMinutes?: number;
  /** Rollup tasks at a time, 2 to 1,000; each waits for one query of Athena. @default 10 */
  tasksAtOnce?: number;
  /** GB that one query may read before Athena stops it. @default 100 */
  scanLimitGB?: number;
  /** Units a second the metrics table can take from its first day on. @default what every new table can: 4,000 writes, 12,000 reads */
  warmMetrics?: { reads: number; writes: number };
  /** Requests at the browser doors; over it they are answered with 503. @default 1,000 a second, 2,000 at once */
  collectThrottle?: Throttle;
  /** Requests at the API. @default 200 a second, 400 at once */
  apiThrottle?: Throttle;
  /** Copies of the reading function that are kept warm. @default none */
  warmReaders?: number;
  /** Days for which logs are kept. @default 30 */
  logDays?: 1 | 3 | 5 | 7 | 14 | 30 | 60 | 90;
  /** Where the merchant's page is served from at short distance. @default 'NorthAmericaAndEurope' */
  pagesFrom?: 'NorthAmericaAndEurope' | 'Everywhere';
  /** Names of one's own. @default those that AWS gives */
  domains?: { collect?: Domain; api?: Domain; pages?: Domain };
  /** Who is told of alarms; the address has to confirm once. @default nobody: the topic is there to subscribe to */
  alarmEmail?: string;
  /** Where the runbook can be read; an alarm's text ends with its heading there. @default the file in the repository */
  runbook?: string;
}

/** Settings with nothing left open but what may be left out. */
export type Resolved = Required<Omit<Settings, Optional>> & Pick<Settings, Optional>;
type Optional = 'shards' | 'warmMetrics' | 'warmReaders' | 'alarmEmail';

const DEFAULTS = {
  protected: true,
  rawDays: 30,
  deliverySeconds: 60,
  deliveryMiB: 128,
  scheduleMinutes: 5,
  tasksAtOnce: 10,
  scanLimitGB: 100,
  collectThrottle: { perSecond: 1_000, burst: 2_000 },
  apiThrottle: { perSecond: 200, burst: 400 },
  logDays: 30,
  pagesFrom: 'NorthAmericaAndEurope',
  domains: {},
  runbook: 'docs/runbook.md',
} as const satisfies Settings;

const RANGES = {
  shards: [1, 10_000],
  rawDays: [1, 3_650],
  deliverySeconds: [60, 900],
  deliveryMiB: [64, 128],
  scheduleMinutes: [5, 60],
  tasksAtOnce: [2, 1_000],
  scanLimitGB: [1, 1_000_000],
  warmReaders: [1, 1_000],
} as const satisfies { [K in keyof Settings]?: readonly [number, number] };

/** The settings with their defaults. Throws on numbers that AWS would refuse, or accept and not keep. */
export function resolved(settings: Settings): Resolved {
  const all: Resolved = { ...DEFAULTS, ...settings };
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const value = all[name as keyof typeof RANGES];
    if (value !== undefined && !(Number.isInteger(value) && value >= least && value <= most)) {
      throw new Error(`settings: ${name} ${value}: accepts a whole number from ${least} to ${most}`);
    }
  }
  return all;
}
