// What a user agent says, remembered: parsing one costs more than all the other steps together.
import { isbot } from 'isbot';
import Bowser from 'bowser';
import QuickLRU from 'quick-lru';
import { cleanText } from '../event.ts';
import type { Draft } from './draft.ts';

export interface Agent {
  bot: boolean;
  /** `desktop`, `mobile`, `tablet`, `tv`, …, where known. */
  device: string | undefined;
  browser: string | undefined;
  os: string | undefined;
}

// Longer ones are not browsers, and patterns should not be tried on more than this.
const MAX_LENGTH = 512;
const MAX_NAME = 64;
const NOTHING: Bowser.Parser.ParsedResult = { browser: {}, os: {}, platform: {}, engine: {} };

/** A name as it may be stored: of a browser nobody knows it is the client's own text. */
function nameOf(name: string | undefined): string | undefined {
  return name ? cleanText(name.slice(0, MAX_NAME)) : undefined;
}

const agents = new QuickLRU<string, Agent>({ maxSize: 20_000 });
// The last one once more, since more than one step asks, and the events of an envelope have the same: 0.2 µs an event.
let last: { text: string; agent: Agent } | undefined;

/** Reads a user agent; an empty one says nothing. */
export function agentOf(userAgent: string): Agent {
  const text = userAgent.slice(0, MAX_LENGTH);
  if (text !== last?.text) {
    let agent = agents.get(text);
    if (!agent) agents.set(text, agent = read(text));
    last = { text, agent };
  }
  return last.agent;
}

function read(text: string): Agent {
  const { platform, browser, os } = text === '' ? NOTHING : Bowser.parse(text);
  return {
    bot: isbot(text),
    device: platform.type ?? (os.name === 'Chrome OS' ? 'desktop' : undefined),
    browser: nameOf(browser.name),
    os: nameOf(os.name),
  };
}

/** The visitor's user agent: on the server door the one the event speaks for, not the server's own. */
export function userAgentOf({ envelope, event }: Draft): string {
  return (envelope.via === 'api' ? event.user_agent : envelope.ua) ?? '';
}
