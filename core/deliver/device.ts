// What with? Device, browser, operating system and language.
import { agentOf, userAgentOf } from './agent.ts';
import type { Step } from './draft.ts';

const LANGUAGE = /^([a-z]{2,3})(?:-[a-z]{4})?(?:-([a-z]{2}|\d{3}))?(?=$|[,;])/i;

/** The first language of an Accept-Language header, such as `en-US`, or undefined. */
export function languageOf(header: string | undefined): string | undefined {
  const match = LANGUAGE.exec(header ?? '');
  if (!match) return undefined;
  const language = match[1]!.toLowerCase();
  return match[2] === undefined ? language : `${language}-${match[2].toUpperCase()}`;
}

export const device: Step = (draft) => {
  const { device, browser, os } = agentOf(userAgentOf(draft));
  draft.device = device;
  draft.browser = browser;
  draft.os = os;
  draft.language = draft.envelope.via === 'api' ? undefined : languageOf(draft.envelope.language);
  return undefined;
};
