// Which page, and which campaign does its address name?
import type { Step } from './draft.ts';
import { cleanText } from '../event.ts';
import { partsOf } from '../url.ts';

const CAMPAIGN = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term'] as const;
const MAX_CAMPAIGN = 256;
// What a query has that names a campaign, if only in a name that is encoded; most have not, and are not taken apart.
const NAMED = /utm_|%/;

export const page: Step = (draft) => {
  if (draft.event.url === undefined) return undefined;
  const { host, path, search } = partsOf(draft.event.url);
  draft.host = host;
  draft.path = path;
  if (NAMED.test(search)) {
    const parameters = new URLSearchParams(search);
    for (const name of CAMPAIGN) {
      const value = cleanText((parameters.get(name) ?? '').slice(0, MAX_CAMPAIGN)).trim();
      if (value !== '') draft[name] = value;
    }
  }
  return undefined;
};
