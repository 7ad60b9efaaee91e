// Was it a person? Crawlers and prefetched pages are kept, out of every metric but `bots`.
import { agentOf, userAgentOf } from './agent.ts';
import type { Step } from './draft.ts';

export const bot: Step = (draft) => {
  const { purpose } = draft.envelope;
  draft.bot = (purpose !== undefined && /prefetch|prerender/i.test(purpose)) || agentOf(userAgentOf(draft)).bot;
  return undefined;
};
