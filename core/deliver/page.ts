// Which page, and which campaign does its address name?
import type { Draft, Step } from './draft.ts';
import { cleanText } from '../event.ts';
import { partsOf } from '../url.ts';

const CAMPAIGN = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term'] as const;
const MAX_CAMPAIGN = 256;
// What a query has that names a campaign, if only in a name that is encoded; most have not, and are not taken apart.
const NAMED = /utm_|%/;

export const page: Step = ({ event }) => {
  if (event.url === undefined) return {};
  const { host, path, search } = partsOf(event.url);
  const columns: Partial<Draft> = { host, path };
  if (NAMED.test(search)) {
    const parameters = new URLSearchParams(search);
    for (const name of CAMPAIGN) {
      const value = cleanText((parameters.get(name) ?? '').slice(0, MAX_CAMPAIGN)).trim();
      if (value !== '') columns[name] = value;
    }
  }
  return columns;
};
