// Which site is it for, and may this page speak for it?
import { Refused, quote } from '../event.ts';
import { refuseHost } from '../sites.ts';
import type { Step } from './draft.ts';

export const site: Step = (draft, { sites }) => {
  const found = sites.get(draft.claimed);
  if (!found) return new Refused('unknown_site', `site ${quote(draft.claimed)}: accepts the id of a site`);
  draft.site = found;
  return refuseHost(found, draft.event.url);
};
