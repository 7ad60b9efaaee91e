// The CDK app: what there is of Footfall on AWS, and how much of it. `-c environment=small|large` chooses.
// next: lib/data.ts and lib/service.ts
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { FunctionName } from '../lambdas/environment.ts';
import { DIST, bundle } from '../lib/bundle.ts';
import { DataStack } from '../lib/data.ts';
import { ServiceStack } from '../lib/service.ts';
import { PAGES_FOLDER, SNIPPET_ELSEWHERE, type BuiltPages } from '../lib/pages.ts';
import { resolved, type Settings } from '../lib/settings.ts';

export const ENVIRONMENTS = {
  /** Some million events a day. Costs follow the traffic; what stands idle is the stream, about a dollar a day. */
  small: {},
  /** A billion events a day. Everything in larger pieces, less often. */
  large: {
    deliverySeconds: 300,
    scheduleMinutes: 15,
    tasksAtOnce: 40,
    scanLimitGB: 1_000,
    warmMetrics: { reads: 24_000, writes: 40_000 },
    collectThrottle: { perSecond: 9_000, burst: 5_000 },
    apiThrottle: { perSecond: 1_000, burst: 2_000 },
    warmReaders: 5,
    logDays: 7,
    pagesFrom: 'Everywhere',
  },
} as const satisfies Record<string, Settings>;
export type EnvironmentName = keyof typeof ENVIRONMENTS;

/** The two stacks of an environment, with every rule that they have to keep. */
export function footfall(app: App, code: (name: FunctionName) => Code, pages: BuiltPages): { data: DataStack; service: ServiceStack } {
  const environment = (app.node.tryGetContext('environment') ?? 'small') as string;
  if (!Object.hasOwn(ENVIRONMENTS, environment)) {
    throw new Error(`-c environment=${environment}: accepts ${Object.keys(ENVIRONMENTS).join(' or ')}`);
  }
  const settings = resolved(ENVIRONMENTS[environment as EnvironmentName]);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const data = new DataStack(app, `footfall-${environment}-data`, settings);
  return { data, service: new ServiceStack(app, `footfall-${environment}`, { data, settings, code, pages }) };
}

if (process.argv[1] !== undefined && import.meta.filename === realpathSync(process.argv[1])) {
  bundle();
  const app = new App();
  // `npm run` has built them by now.
  footfall(app, (name) => Code.fromAsset(join(DIST, name)), { folder: PAGES_FOLDER, snippet: readFileSync(SNIPPET_ELSEWHERE, 'utf8') });
  app.synth();
}
