// Who, without knowing who: 64 bits that are the same for the same visitor of the same site, and on different sites
// (and, without an id, on different days) have nothing in common.
import { hash64 } from '../hash.ts';
import { userAgentOf } from './agent.ts';
import type { Step } from './draft.ts';

export const visitor: Step = (draft, { salts }) => {
  const { envelope, event, site, local_day } = draft;
  if (event.visitor !== undefined) {
    draft.visitor = hash64('visitor', site.id, event.visitor);
    return undefined;
  }
  const ip = envelope.via === 'api' ? event.ip : envelope.ip;
  // A server that names neither visitor nor address speaks for nobody in particular: no visitor, no visit.
  if (ip === undefined) return undefined;
  const salt = salts.get(local_day!);
  if (salt === undefined) throw new Error(`no salt was loaded for the local day ${local_day}`);
  draft.visitor = hash64('cookieless', salt, site.id, ip, userAgentOf(draft));
  return undefined;
};
