// Was it a person? Crawlers and prefetched pages are kept, out of every metric but `bots`.
import { agentOf, userAgentOf } from './agent.ts';
import type { Step } from './draft.ts';

export const bot: Step = (draft) => ({
  bot: (draft.envelope.purpose !== undefined && /prefetch|prerender/i.test(draft.envelope.purpose)) || agentOf(userAgentOf(draft)).bot,
});
