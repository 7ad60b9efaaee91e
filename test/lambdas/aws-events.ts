// What AWS hands to functions, as it was documented when it was written down (test/fixtures/aws), with what a test puts in.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { APIGatewayProxyEventV2, Context, FirehoseTransformationEvent, S3Event, SQSEvent } from 'aws-lambda';
import type { Signal } from '../../lambdas/environment.ts';
import type { Observer } from '../../lambdas/function.ts';

function shape<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, '..', 'fixtures', 'aws', `${name}.json`), 'utf8')) as T;
}

/** An invocation of Firehose's transform with these records. */
export function firehoseEvent(records: readonly string[]): FirehoseTransformationEvent {
  const event = shape<FirehoseTransformationEvent>('firehose-transformation');
  return { ...event, records: records.map((text, i) => ({ ...event.records[0]!, recordId: `record-${i}`, data: Buffer.from(text).toString('base64') })) };
}

/** The rows of an answer of the transform, which stand one behind the other; no text in a row can hold what is between two. */
export function rowsOf(data: string | undefined): string[] {
  return Buffer.from(data ?? '', 'base64').toString().replaceAll('}{"site_id":', '}\n{"site_id":').split('\n');
}

/** Messages of a queue. */
export function sqsEvent(bodies: readonly string[], receiveCount = 1): SQSEvent {
  const { Records: [record] } = shape<SQSEvent>('sqs-fifo');
  return {
    Records: bodies.map((body, i) => ({
      ...record!, body, messageId: `message-${i}`, receiptHandle: `handle-${i}`,
      attributes: { ...record!.attributes, ApproximateReceiveCount: String(receiveCount) },
    })),
  };
}

/** A notice of S3 that objects were written. */
export function s3Notice(keys: readonly string[]): S3Event {
  const event = shape<S3Event>('s3-notice');
  const [record] = event.Records;
  const encoded = (key: string) => encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+');
  return { Records: keys.map((key) => ({ ...record!, s3: { ...record!.s3, object: { ...record!.s3.object, key: encoded(key) } } })) };
}

/** A beat of EventBridge's scheduler. */
export function schedulerEvent(): unknown {
  return shape('scheduler');
}

export interface ApiRequest { route: string; path?: Record<string, string>; query?: string; key?: string; body?: string }

/** A request as the HTTP API hands it on; it has matched the route, and decoded the path's parameters. */
export function apiEvent({ route, path = {}, query = '', key, body }: ApiRequest): APIGatewayProxyEventV2 {
  const event = shape<APIGatewayProxyEventV2>('api-gateway-v2');
  const [method = '', pattern = ''] = route.split(' ');
  const rawPath = pattern.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name]!));
  return {
    ...event, rawPath, routeKey: route, rawQueryString: query,
    ...(Object.keys(path).length > 0 && { pathParameters: path }),
    ...(body !== undefined && { body }),
    headers: { ...event.headers, ...(key !== undefined && { authorization: `Bearer ${key}` }) },
    requestContext: { ...event.requestContext, routeKey: route, http: { ...event.requestContext.http, method, path: rawPath } },
  };
}

export function contextOf(remainingMs = 900_000): Context {
  return { awsRequestId: 'request-1', functionName: 'footfall', getRemainingTimeInMillis: () => remainingMs } as Context;
}

/** An observer that keeps what it is told. */
export function noting(): Observer & { counts: Partial<Record<Signal, number>>; notes: Record<string, unknown>; errors: unknown[] } {
  const told = { counts: {} as Partial<Record<Signal, number>>, notes: {} as Record<string, unknown>, errors: [] as unknown[] };
  return {
    ...told,
    count: (signal, value) => { told.counts[signal] = (told.counts[signal] ?? 0) + value; },
    note: (fields) => { Object.assign(told.notes, fields); },
    error: (error) => { told.errors.push(error); },
  };
}
