// Who, without knowing who: 64 bits that are the same for the same visitor of the same site, and on different sites
// (and, without an id, on different days) have nothing in common.
import { hash64 } from '../hash.ts';
import { userAgentOf } from './agent.ts';
import type { Step } from './draft.ts';

type Kind = 'visitor' | 'cookieless';

// The last one, since the events of an envelope mostly have the same: 0.8 µs an event of ten.
let last = { kind: 'visitor' as Kind, salt: '', site: '', who: '', userAgent: '', hash: hash64('visitor', '', '') };

function remembered(kind: Kind, salt: string, site: string, who: string, userAgent: string): bigint {
  if (who !== last.who || site !== last.site || salt !== last.salt || kind !== last.kind || userAgent !== last.userAgent) {
    const hash = kind === 'visitor' ? hash64(kind, site, who) : hash64(kind, salt, site, who, userAgent);
    last = { kind, salt, site, who, userAgent, hash };
  }
  return last.hash;
}

export const visitor: Step = (draft, { salts }) => {
  const { envelope, event, site, local_day } = draft;
  if (event.visitor !== undefined) {
    draft.visitor = remembered('visitor', '', site.id, event.visitor, '');
    return undefined;
  }
  const ip = envelope.via === 'api' ? event.ip : envelope.ip;
  // A server that names neither visitor nor address speaks for nobody in particular: no visitor, no visit.
  if (ip === undefined) return undefined;
  const salt = salts.get(local_day!);
  if (salt === undefined) throw new Error(`no salt was loaded for the local day ${local_day}`);
  draft.visitor = remembered('cookieless', salt, site.id, ip, userAgentOf(draft));
  return undefined;
};
