// One function as it runs on AWS: its code, its share of the machine, just the variables that lambdas/environment.ts
// gives it, and a role that may do what is named here and nothing else.
import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyDocument, PolicyStatement, Role, ServicePrincipal, type IRole } from 'aws-cdk-lib/aws-iam';
import { Architecture, Function, LoggingFormat, Runtime, type Code } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { Environment, FunctionName } from '../lambdas/environment.ts';

/** What all functions of a deployment have in common. */
export interface FunctionDefaults {
  /** The code of each: its bundle. */
  code: (name: FunctionName) => Code;
  logDays: number;
}

export interface FunctionProps<F extends FunctionName> {
  /** MB; a share of a processor comes with it, a whole one at 1,769. */
  memory: number;
  timeout: Duration;
  /** Its variables but for `SERVICE`. */
  environment: Omit<Environment<F>, 'SERVICE'>;
  /** What it may do beside writing its own log. */
  may: PolicyStatement[];
  /** It is called at intervals: one at a time, and no call that came too early or failed is made up for. @default false */
  beats?: boolean;
}

/** A function, named as in lambdas/environment.ts. */
export function functionOf<F extends FunctionName>(scope: Construct, name: F, { code, logDays }: FunctionDefaults, props: FunctionProps<F>): Function {
  const id = `${name[0]!.toUpperCase()}${name.slice(1)}`;
  const logGroup = logGroupOf(scope, `${id}Log`, logDays);
  const role = roleOf(scope, `${id}Role`, 'lambda.amazonaws.com', [...props.may, allow(['logs:CreateLogStream', 'logs:PutLogEvents'], logGroup.logGroupArn)]);
  return new Function(scope, id, {
    code: code(name),
    handler: 'index.handler',
    runtime: Runtime.NODEJS_24_X,
    // A fifth cheaper than x86, and nothing here is compiled for one of them.
    architecture: Architecture.ARM_64,
    memorySize: props.memory,
    timeout: props.timeout,
    environment: { SERVICE: Stack.of(scope).stackName, ...props.environment },
    role,
    logGroup,
    loggingFormat: LoggingFormat.JSON,
    ...(props.beats === true && { reservedConcurrentExecutions: 1, retryAttempts: 0, maxEventAge: Duration.minutes(1) }),
  });
}

/** A log that goes with what writes it. */
export function logGroupOf(scope: Construct, id: string, days: number): LogGroup {
  return new LogGroup(scope, id, { retention: days as RetentionDays, removalPolicy: RemovalPolicy.DESTROY });
}

/**
 * A role that may do what the statements say. Constructs that would add to it by themselves cannot: what they add is
 * wider than what is needed, and would stand nowhere.
 */
export function roleOf(scope: Construct, id: string, service: string, may: PolicyStatement[]): IRole {
  return new Role(scope, id, {
    assumedBy: new ServicePrincipal(service),
    // In the role itself, so that nothing that uses the role can be made before its policy.
    inlinePolicies: { May: new PolicyDocument({ statements: may }) },
  }).withoutPolicyUpdates();
}

export function allow(actions: string[], ...resources: string[]): PolicyStatement {
  return new PolicyStatement({ actions, resources });
}

/** The ARN of something that is named by AWS, in this account and region. */
export function arnOf(scope: Construct, service: string, resource: string): string {
  return Stack.of(scope).formatArn({ service, resource });
}

/** A construct as its interface: the CDK's classes say `undefined` of properties that its interfaces call optional. */
export function asInterface<T>(construct: { [K in keyof T]: T[K] | undefined }): T {
  return construct as T;
}
