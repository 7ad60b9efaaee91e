// Collect: the browser doors. API Gateway writes each request to the stream itself, so there is no code that could fail
// or fall behind. before: the browser; next: the stream (lib/data.ts), lib/deliver.ts
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stack, Validations } from 'aws-cdk-lib';
import { AccessLogFormat, AwsIntegration, ContentHandling, EndpointType, LogGroupLogDestination, MockIntegration, PassthroughBehavior, ResponseType, RestApi, SecurityPolicy, type IntegrationResponse, type MethodResponse } from 'aws-cdk-lib/aws-apigateway';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { Stream } from 'aws-cdk-lib/aws-kinesis';
import { Construct } from 'constructs';
import { allow, logGroupOf, roleOf } from './functions.ts';
import type { Resolved } from './settings.ts';

/** Seconds after which a client may try again; as on one machine. */
const RETRY_AFTER_S = '5';
const ANY_ORIGIN = { 'Access-Control-Allow-Origin': '*' };
/** What a page may say its body is; sendBeacon says the first, and asks nobody before. */
const BODY_TYPES = ['text/plain', 'application/json', 'application/x-www-form-urlencoded'];

/** A line of the log of requests: neither the query nor the address, which would say who looked at what. */
const LOG_LINE = AccessLogFormat.custom(JSON.stringify({
  id: '$context.extendedRequestId', at: '$context.requestTimeEpoch', method: '$context.httpMethod', door: '$context.resourcePath', status: '$context.status',
  stream_status: '$context.integration.status', ms: '$context.responseLatency', stream_ms: '$context.integration.latency', refusal: '$context.error.responseType',
}));

export class Collect extends Construct {
  readonly api: RestApi;
  /** Where the doors are, with a slash at its end. */
  readonly address: string;

  constructor(scope: Construct, id: string, { stream, settings }: { stream: Stream; settings: Resolved }) {
    super(scope, id);
    const { collectThrottle, domains, logDays } = settings;
    this.api = new RestApi(this, 'Doors', {
      // Its metrics go by this name.
      restApiName: `${Stack.of(this).stackName} doors`,
      // CloudFront in front of it tells the visitor's country.
      endpointTypes: [EndpointType.EDGE],
      // A log of requests needs a role that all of the account's REST APIs share.
      cloudWatchRole: true,
      deployOptions: {
        stageName: 'collect',
        throttlingRateLimit: collectThrottle.perSecond,
        throttlingBurstLimit: collectThrottle.burst,
        metricsEnabled: true,
        accessLogDestination: new LogGroupLogDestination(logGroupOf(this, 'Log', logDays)),
        accessLogFormat: LOG_LINE,
      },
      ...(domains.collect && {
        domainName: {
          domainName: domains.collect.name,
          certificate: Certificate.fromCertificateArn(this, 'Certificate', domains.collect.certificate),
          endpointType: EndpointType.EDGE,
          securityPolicy: SecurityPolicy.TLS_1_2,
        },
      }),
    });

    this.address = domains.collect ? `https://${domains.collect.name}/` : this.api.url;
    const role = roleOf(this, 'Role', 'apigateway.amazonaws.com', [allow(['kinesis:PutRecord'], stream.streamArn)]);
    const putRecord = (template: string, success: IntegrationResponse) => new AwsIntegration({
      service: 'kinesis',
      action: 'PutRecord',
      options: {
        credentialsRole: role,
        passthroughBehavior: PassthroughBehavior.NEVER,
        // The client's own would go on to Kinesis, which takes this one only.
        requestParameters: { 'integration.request.header.Content-Type': "'application/x-amz-json-1.1'" },
        requestTemplates: forEach(BODY_TYPES, templateOf(template, stream)),
        // Whatever is not a success is a refusal, and so the one without a pattern: never a silent success. There can be
        // only one for a status; the template sets the headers, and 413 in its place where the body was too large.
        integrationResponses: [
          { ...success, selectionPattern: '200' },
          { statusCode: '503', responseTemplates: { 'application/json': templateOf('refused.response', stream) } },
        ],
      },
    });
    const image = { ...ANY_ORIGIN, 'Content-Type': 'image/gif', 'Cache-Control': 'no-store' };
    this.api.root.addResource('p.gif').addMethod('GET', putRecord('pixel.request', {
      statusCode: '200',
      contentHandling: ContentHandling.CONVERT_TO_BINARY,
      responseParameters: headers(image),
      responseTemplates: { 'application/json': templateOf('pixel.response', stream) },
    }), { methodResponses: [declared('200', image), ...REFUSED] });

    const beacon = this.api.root.addResource('e');
    beacon.addMethod('POST', putRecord('beacon.request', {
      statusCode: '204', responseParameters: headers(ANY_ORIGIN), responseTemplates: { 'application/json': NOTHING },
    }), { methodResponses: [declared('204', ANY_ORIGIN), ...REFUSED] });
    const preflight = { ...ANY_ORIGIN, 'Access-Control-Allow-Methods': 'POST', 'Access-Control-Allow-Headers': 'content-type', 'Access-Control-Max-Age': '86400' };
    beacon.addMethod('OPTIONS', new MockIntegration({
      passthroughBehavior: PassthroughBehavior.NEVER,
      requestTemplates: forEach(BODY_TYPES, '{"statusCode": 204}'),
      integrationResponses: [{ statusCode: '204', responseParameters: headers(preflight), responseTemplates: { 'application/json': NOTHING } }],
    }), { methodResponses: [declared('204', preflight)] });

    this.answerByItself();
    this.acknowledge();
  }

  /** What API Gateway answers before or instead of the stream: never a silent success, and readable for the page that asked. */
  private answerByItself(): void {
    const refused = quoted({ ...ANY_ORIGIN, 'Content-Type': 'application/problem+json' });
    const later = { ...refused, 'Retry-After': `'${RETRY_AFTER_S}'` };
    for (const [id, type] of [['Throttled', ResponseType.THROTTLED], ['Slow', ResponseType.INTEGRATION_TIMEOUT], ['Failed', ResponseType.INTEGRATION_FAILURE], ['OtherOfOurs', ResponseType.DEFAULT_5XX]] as const) {
      this.api.addGatewayResponse(id, { type, statusCode: '503', responseHeaders: later, templates: problem(503, 'Not available now', 'The event was not stored; send it again.') });
    }
    this.api.addGatewayResponse('TooLarge', { type: ResponseType.REQUEST_TOO_LARGE, statusCode: '413', responseHeaders: refused, templates: problem(413, 'Content too large', 'the body: accepts at most 65536 bytes') });
    this.api.addGatewayResponse('OtherOfTheirs', { type: ResponseType.DEFAULT_4XX, responseHeaders: quoted(ANY_ORIGIN) });
  }

  private acknowledge(): void {
    const open = 'The doors are for every browser: storing first and refusing later is the contract, and a throttle bounds what it costs.';
    Validations.of(this.api).acknowledge(
      { id: 'AwsSolutions-APIG2', reason: open },
      { id: 'AwsSolutions-APIG3', reason: 'A web application firewall costs a quarter of the door itself per request; it can be put before the stage at any time.' },
      { id: 'AwsSolutions-APIG4', reason: open },
      { id: 'AwsSolutions-COG4', reason: open },
      { id: 'AwsSolutions-APIG6', reason: 'A log of executions holds what visitors did; the log of requests holds all there is to find a fault by.' },
      { id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]', reason: 'It is the account\'s role for logs of all REST APIs, which the service asks to be just this one.' },
    );
  }
}

const PROBLEM_HEADERS = { ...ANY_ORIGIN, 'Content-Type': '', 'Cache-Control': '', 'Retry-After': '' };
const REFUSED = [declared('413', PROBLEM_HEADERS), declared('503', PROBLEM_HEADERS)];
/** An empty template would let the stream's answer through. */
const NOTHING = '#set($nothing = true)';

function templateOf(name: string, stream: Stream): string {
  return readFileSync(join(import.meta.dirname, 'templates', `${name}.vtl`), 'utf8').replaceAll('"%STREAM%"', `"${stream.streamName}"`);
}

function forEach(types: readonly string[], template: string): Record<string, string> {
  return Object.fromEntries(types.map((type) => [type, template]));
}

function problem(status: number, title: string, detail: string): Record<string, string> {
  return { 'application/json': JSON.stringify({ title, status, detail }) };
}

/** API Gateway takes a text in quotes for the value itself. */
function quoted(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, `'${value}'`]));
}

function headers(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(quoted(values)).map(([name, value]) => [`method.response.header.${name}`, value]));
}

function declared(statusCode: string, values: Record<string, string>): MethodResponse {
  return { statusCode, responseParameters: Object.fromEntries(Object.keys(values).map((name) => [`method.response.header.${name}`, true])) };
}
