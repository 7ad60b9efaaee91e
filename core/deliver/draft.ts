// What travels through the steps of deliver: an event on its way to becoming a row.
import { Refused, type Envelope, type Event, type Row } from '../event.ts';
import type { Site } from '../sites.ts';
import type { LocalDay } from '../zone.ts';

/** An event with all that is known of it so far; the columns of its row are filled step by step. */
export interface Draft extends Row {
  envelope: Envelope;
  /** The event as received, and its place in the envelope. */
  raw: unknown;
  index: number;
  /** The site as the client wrote it, whether or not there is one. */
  claimed: string;
  /** From the step `check` on. */
  event: Event;
  /** From the step `site` on. */
  site: Site;
}

/** What the steps may know beside the event. */
export interface Context {
  sites: ReadonlyMap<string, Site>;
  /** The random salt of each local day, for visitors without an id. */
  salts: ReadonlyMap<LocalDay, string>;
  /** ISO 3166-1 alpha-2 code of an address, where known. */
  countryOf: (ip: string) => string | undefined;
  /** Time of this transform, epoch ms. */
  processedAt: number;
}

/** A step adds to the draft, or refuses the event. It changes nothing and reads nothing but its arguments. */
export type Step = (draft: Draft, context: Context) => Partial<Draft> | Refused;
