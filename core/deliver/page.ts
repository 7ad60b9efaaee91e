// Which page, and which campaign does its address name?
import type { Draft, Step } from './draft.ts';
import { cleanText } from '../event.ts';

const CAMPAIGN = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term'] as const;
const MAX_CAMPAIGN = 256;

export const page: Step = ({ event }) => {
  if (event.url === undefined) return {};
  const url = new URL(event.url);
  const columns: Partial<Draft> = { host: url.hostname, path: url.pathname };
  if (url.search !== '') {
    for (const name of CAMPAIGN) {
      const value = cleanText((url.searchParams.get(name) ?? '').slice(0, MAX_CAMPAIGN)).trim();
      if (value !== '') columns[name] = value;
    }
  }
  return columns;
};
