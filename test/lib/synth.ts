// The templates of an environment, made once in each test process. Without the code: what that is, test/lib/bundle.test.ts
// looks at.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, type Stack } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { COLLECT_ELSEWHERE } from '../../core/pages.ts';
import { footfall, type EnvironmentName } from '../../bin/footfall.ts';
import { ENVIRONMENT, type FunctionName } from '../../lambdas/environment.ts';
import { DataStack } from '../../lib/data.ts';
import { ServiceStack } from '../../lib/service.ts';
import { resolved, type Settings } from '../../lib/settings.ts';

/** Whatever JSON holds. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export interface Resource { Type: string; Properties: Record<string, Json>; DependsOn?: string[]; DeletionPolicy?: string; UpdateReplacePolicy?: string; UpdatePolicy?: Json }
export interface Template { Resources: Record<string, Resource>; Outputs?: Record<string, { Value: Json }> }
/** What the checks say of an app. */
export interface Report { pluginReports: { pluginName: string; violations: Violation[]; suppressedViolations?: Violation[] }[] }
interface Violation { ruleName: string; reason?: string }
/** The stacks by their names. */
export type Templates = Record<string, Template>;
export interface Synthesised { templates: Templates; data: Template; service: Template; report: Report }

const ROOT = join(import.meta.dirname, '..', '..');
const { context } = JSON.parse(readFileSync(join(ROOT, 'cdk.json'), 'utf8')) as { context: Record<string, unknown> };
const made = new Map<EnvironmentName, Synthesised>();

/**
 * The stacks of an environment. Throws on what the checks of CloudFormation and cdk-nag find.
 * @param careless adds something to the data stack that should not be there
 */
export function synthesised(environment: EnvironmentName, careless?: (stack: Stack) => void): Synthesised {
  const before = made.get(environment);
  if (before && !careless) return before;
  const one = synthesise({ environment }, (app) => {
    const stacks = footfall(app, NO_CODE, BUILT_PAGES);
    careless?.(stacks.data);
    return stacks;
  });
  if (!careless) made.set(environment, one);
  return one;
}

/** The stacks with settings that no environment has. */
export function synthesisedWith(settings: Settings): Synthesised {
  return synthesise({}, (app) => {
    const all = resolved(settings);
    const data = new DataStack(app, 'test-data', all);
    return { data, service: new ServiceStack(app, 'test', { data, settings: all, code: NO_CODE, pages: BUILT_PAGES }) };
  });
}

/** Pages as they are built, but of one file each. */
const BUILT_PAGES = { folder: join(import.meta.dirname, '..', 'fixtures', 'pages'), snippet: `fetch("${COLLECT_ELSEWHERE}e");` };
const NO_CODE = () => Code.fromInline('exports.handler = async () => {};');

function synthesise(more: Record<string, string>, make: (app: App) => { data: Stack; service: Stack }): Synthesised {
  const outdir = mkdtempSync(join(tmpdir(), 'footfall-synth-'));
  try {
    const app = new App({ outdir, context: { ...context, ...more } });
    const { data, service } = make(app);
    const report = () => JSON.parse(readFileSync(join(outdir, 'validation-report.json'), 'utf8')) as Report;
    let assembly;
    try {
      assembly = app.synth();
    } catch (error) {
      throw new Error(`${String(error)}: ${report().pluginReports.flatMap(({ violations }) => violations.map(({ ruleName }) => ruleName)).join(', ')}`);
    }
    const templateOf = (name: string) => assembly.getStackByName(name).template as Template;
    const templates = { [data.stackName]: templateOf(data.stackName), [service.stackName]: templateOf(service.stackName) };
    return { templates, data: templates[data.stackName]!, service: templates[service.stackName]!, report: report() };
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

/** The resources of a type, by logical id. */
export function ofType({ Resources }: Template, type: string): [id: string, properties: Record<string, Json>, resource: Resource][] {
  return Object.entries(Resources).filter(([, { Type }]) => Type === type).map(([id, resource]) => [id, resource.Properties ?? {}, resource]);
}

/** The function of lambdas/environment.ts that a logical id, `RollupLoad01234567`, is of. */
export function functionName(id: string): FunctionName | undefined {
  const name = /([A-Z][a-z]+)[0-9A-F]{8}$/.exec(id)?.[1]?.toLowerCase();
  return name !== undefined && Object.hasOwn(ENVIRONMENT, name) ? name as FunctionName : undefined;
}

/** The value at a path, if there is one. */
export function at(value: Json | undefined, ...path: (string | number)[]): Json | undefined {
  return path.reduce<Json | undefined>((inner, step) => (inner as Record<string, Json> | null | undefined)?.[step], value);
}

/** The text that a value has to be. */
export function word(value: Json | undefined): string {
  if (typeof value !== 'string') throw new Error(`${JSON.stringify(value)} is not a text`);
  return value;
}

/** The properties of the only resource of a type. */
export function only(template: Template, type: string): Record<string, Json> {
  const found = ofType(template, type);
  if (found.length !== 1) throw new Error(`${found.length} of ${type}`);
  return found[0]![1];
}
