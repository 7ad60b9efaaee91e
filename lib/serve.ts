// Serve: the API. A route for each of core/routes.ts, to the function that answers it; a new version of the reading
// function gets a tenth of the reads first, and is taken back when alarms go off.
// before: the metrics table (lib/rollup.ts); next: the merchant, or lib/pages.ts
import { Duration, Validations } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import { DomainName, HttpApi, HttpMethod, HttpStage, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { Alarm } from 'aws-cdk-lib/aws-cloudwatch';
import { LambdaDeploymentConfig, LambdaDeploymentGroup } from 'aws-cdk-lib/aws-codedeploy';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Alias, type Function, type IFunction, type IVersion } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { ROUTES, type HandlerName } from '../core/routes.ts';
import type { DataStack } from './data.ts';
import { allow, asInterface, functionOf, logGroupOf, type FunctionDefaults } from './functions.ts';
import { listing } from './rollup.ts';
import type { Resolved } from './settings.ts';

export interface ServeProps { data: DataStack; defaults: FunctionDefaults; settings: Resolved }

export class Serve extends Construct {
  readonly ingest: Function;
  readonly serve: Function;
  readonly admin: Function;
  readonly api: HttpApi;
  readonly stage: HttpStage;
  private readonly deployment: LambdaDeploymentGroup;

  constructor(scope: Construct, id: string, { data: { stream, lake, registry, metrics }, data, defaults, settings }: ServeProps) {
    super(scope, id);
    this.ingest = functionOf(this, 'ingest', defaults, {
      memory: 1024,
      timeout: Duration.seconds(20),
      environment: { REGISTRY_TABLE: registry.tableName, STREAM: stream.streamName },
      may: [allow(['dynamodb:GetItem'], registry.tableArn), notingUse(registry.tableArn), allow(['kinesis:PutRecords'], stream.streamArn)],
    });
    this.serve = functionOf(this, 'serve', defaults, {
      memory: 512,
      timeout: Duration.seconds(10),
      environment: { REGISTRY_TABLE: registry.tableName, METRICS_TABLE: metrics.tableName },
      may: [allow(['dynamodb:GetItem', 'dynamodb:Query'], registry.tableArn, metrics.tableArn), notingUse(registry.tableArn)],
    });
    this.admin = functionOf(this, 'admin', defaults, {
      memory: 512,
      timeout: Duration.seconds(29), // The API waits for 30.
      environment: { REGISTRY_TABLE: registry.tableName, BUCKET: lake.bucket.bucketName, RAW_DAYS: String(settings.rawDays) },
      may: [
        allow(['dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:PutItem', 'dynamodb:BatchWriteItem'], registry.tableArn),
        listing(data, ['events', 'raw']),
      ],
    });

    const readers = new Alias(this, 'Readers', {
      aliasName: 'live',
      version: asInterface<IVersion>(this.serve.currentVersion),
      ...(settings.warmReaders !== undefined && { provisionedConcurrentExecutions: settings.warmReaders }),
    });
    this.deployment = new LambdaDeploymentGroup(this, 'Deployment', { alias: readers, deploymentConfig: LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES });

    const called = { ingest: this.ingest, serve: readers, admin: this.admin };
    const integrations = Object.fromEntries(Object.entries(called).map(([name, handler]) => [
      name,
      // One permission for the function, not one for each route.
      new HttpLambdaIntegration(`Calls${name}`, asInterface<IFunction>(handler), { scopePermissionToRoute: false }),
    ])) as Record<HandlerName, HttpLambdaIntegration>;
    // What has no route gets an answer of our own, and so does a browser that asks what it may send.
    this.api = new HttpApi(this, 'Api', { createDefaultStage: false, defaultIntegration: integrations.serve });
    for (const { method, path, handler } of ROUTES) {
      this.api.addRoutes({ path, methods: method === 'GET' ? [HttpMethod.GET, HttpMethod.HEAD] : [HttpMethod[method]], integration: integrations[handler] });
    }
    this.stage = new HttpStage(this, 'Stage', {
      httpApi: this.api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: settings.apiThrottle.perSecond, burstLimit: settings.apiThrottle.burst },
      accessLogSettings: { destination: new LogGroupLogDestination(logGroupOf(this, 'Log', settings.logDays)), format: LOG_LINE },
      ...(settings.domains.api && {
        domainMapping: {
          domainName: new DomainName(this, 'Domain', {
            domainName: settings.domains.api.name, certificate: Certificate.fromCertificateArn(this, 'Certificate', settings.domains.api.certificate),
          }),
        },
      }),
    });
    this.acknowledge();
  }

  /** A new version of the reading function is taken back when one of these goes off. */
  takeBackOn(alarms: readonly Alarm[]): void {
    for (const alarm of alarms) this.deployment.addAlarm(alarm);
  }

  private acknowledge(): void {
    Validations.of(this.api).acknowledge({ id: 'AwsSolutions-APIG4', reason: 'The handlers check the key themselves, with a short cache: an authorizer would be a second call for each request.' });
    Validations.of(this.deployment).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]',
      reason: 'What CodeDeploy needs to shift an alias is for AWS to say, and may change.',
    });
  }
}

/** Writing when keys were used, and nothing else of the registry. */
function notingUse(registryArn: string): PolicyStatement {
  return new PolicyStatement({
    actions: ['dynamodb:BatchWriteItem'], resources: [registryArn],
    conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['used#*'] } },
  });
}

/** A line of the log of requests: which route, not which site or key. */
const LOG_LINE = AccessLogFormat.custom(JSON.stringify({
  id: '$context.requestId', at: '$context.requestTimeEpoch', route: '$context.routeKey', status: '$context.status',
  ms: '$context.responseLatency', function_ms: '$context.integrationLatency', error: '$context.integrationErrorMessage',
}));
