// The Loader on AWS: one call of the load function for each part, many at once.
// before: core/rollup.ts; next: lambdas/load.ts, which loads the part (core/load.ts)
import { InvokeCommand, LambdaClient, TooManyRequestsException } from '@aws-sdk/client-lambda';
import pRetry, { type Options as Pauses } from 'p-retry';
import type { Load, Loader } from '../../core/load.ts';

/** The longest that a function may take, and what the way to it and back may add. */
const LONGEST_MS = 15 * 60_000 + 30_000;

/** The client must not give up on a call before the function does, since it would only call again. */
export const lambda = (): LambdaClient => new LambdaClient({
  requestHandler: {
    connectionTimeout: 5_000,
    requestTimeout: LONGEST_MS,
    throwOnRequestTimeout: true,
    socketTimeout: LONGEST_MS,
    // A call holds its connection until the function has answered.
    httpsAgent: { keepAlive: true, maxSockets: 1_000 },
  },
});

/** Other functions may have the account's concurrency for minutes. */
const PAUSES: Pauses = { retries: 12, minTimeout: 500, maxTimeout: 20_000, randomize: true };

export interface LoaderOptions {
  /** Calls under way at once. */
  atOnce: number;
  /** Between the attempts at a call that is refused for there being too many. */
  pauses?: Pauses;
}

/** Calls the load function; when a call fails no new one begins, and those under way are waited for. */
export function lambdaLoader(client: LambdaClient, functionName: string, { atOnce, pauses = PAUSES }: LoaderOptions): Loader {
  async function call(load: Load): Promise<number> {
    const { FunctionError, Payload } = await pRetry(
      () => client.send(new InvokeCommand({ FunctionName: functionName, InvocationType: 'RequestResponse', Payload: JSON.stringify(load) })),
      { ...pauses, shouldRetry: ({ error }) => error instanceof TooManyRequestsException },
    );
    const text = Buffer.from(Payload ?? []).toString();
    if (FunctionError !== undefined) throw new Error(`loading ${load.part} failed: ${said(text)}`);
    const { written } = Object(answerOf(text)) as { written?: unknown };
    if (typeof written !== 'number') throw new Error(`${functionName} answered ${text.slice(0, 200)} for ${load.part}: accepts {"written": a number}`);
    return written;
  }

  return async (loads) => {
    const waiting = [...loads].reverse();
    let written = 0;
    const caller = async () => {
      try {
        for (let load = waiting.pop(); load; load = waiting.pop()) {
          // Not added to in one expression: others add to it while this one waits.
          const items = await call(load);
          written += items;
        }
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: Math.min(atOnce, loads.length) }, caller));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
    return written;
  };
}

/** What a function that failed says of it: `errorMessage`, or whatever there is. */
function said(text: string): string {
  const { errorMessage } = Object(answerOf(text)) as { errorMessage?: unknown };
  return typeof errorMessage === 'string' && errorMessage !== '' ? errorMessage : text.slice(0, 200);
}

function answerOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
