// Which site is it for, and may this page speak for it?
import { Refused, quote } from '../event.ts';
import { refuseHost } from '../sites.ts';
import type { Step } from './draft.ts';

export const site: Step = ({ claimed, event }, { sites }) => {
  const found = sites.get(claimed);
  if (!found) return new Refused('unknown_site', `site ${quote(claimed)}: accepts the id of a site`);
  return refuseHost(found, event.url) ?? { site: found };
};
