// Queues for tests of the functions: SQS's client over lists in memory, with what a FIFO queue promises.
import {
  ChangeMessageVisibilityCommand, DeleteMessageBatchCommand, GetQueueAttributesCommand, ReceiveMessageCommand, SQSClient, SendMessageBatchCommand,
  type DeleteMessageBatchCommandInput, type ReceiveMessageCommandInput, type SendMessageBatchCommandInput,
} from '@aws-sdk/client-sqs';
import { mockClient } from 'aws-sdk-client-mock';

/** A message that waits; `group` is that of a FIFO queue. */
export interface Queued { id: number; body: string; group?: string; received: number; visible: boolean }

/** Queues by URL. A message that was received stays away until a test gives it back. */
export function fakeQueues(): { sqs: SQSClient; queues: Map<string, Queued[]>; send: (url: string, body: string) => void; delays: number[] } {
  const queues = new Map<string, Queued[]>();
  const delays: number[] = [];
  let ids = 0;
  const of = (url: string) => queues.get(url) ?? queues.set(url, []).get(url)!;
  const add = (url: string, body: string, group?: string) => { of(url).push({ id: ++ids, body, received: 0, visible: true, ...(group !== undefined && { group }) }); };
  const sqs = new SQSClient({ region: 'us-east-1' });
  mockClient(sqs)
    .on(SendMessageBatchCommand).callsFake(({ QueueUrl, Entries = [] }: SendMessageBatchCommandInput) => {
      for (const { MessageBody, MessageGroupId } of Entries) add(QueueUrl!, MessageBody!, MessageGroupId);
      return { Successful: Entries.map(({ Id }) => ({ Id })) };
    })
    .on(ReceiveMessageCommand).callsFake(({ QueueUrl, MaxNumberOfMessages = 1 }: ReceiveMessageCommandInput) => {
      const taken = of(QueueUrl!).filter(({ visible }) => visible).slice(0, MaxNumberOfMessages);
      for (const message of taken) Object.assign(message, { visible: false, received: message.received + 1 });
      return taken.length === 0 ? {} : { Messages: taken.map(({ id, body }) => ({ MessageId: String(id), ReceiptHandle: String(id), Body: body })) };
    })
    .on(DeleteMessageBatchCommand).callsFake(({ QueueUrl, Entries = [] }: DeleteMessageBatchCommandInput) => {
      const gone = new Set(Entries.map(({ ReceiptHandle }) => ReceiptHandle));
      queues.set(QueueUrl!, of(QueueUrl!).filter(({ id }) => !gone.has(String(id))));
      return { Successful: Entries.map(({ Id }) => ({ Id })) };
    })
    .on(GetQueueAttributesCommand).callsFake(({ QueueUrl }: { QueueUrl: string }) => ({
      Attributes: {
        ApproximateNumberOfMessages: String(of(QueueUrl).filter(({ visible }) => visible).length),
        ApproximateNumberOfMessagesNotVisible: String(of(QueueUrl).filter(({ visible }) => !visible).length),
        ApproximateNumberOfMessagesDelayed: '0',
      },
    }))
    .on(ChangeMessageVisibilityCommand).callsFake(({ VisibilityTimeout }: { VisibilityTimeout: number }) => { delays.push(VisibilityTimeout); return {}; });
  return { sqs, queues, send: (url, body) => { add(url, body); }, delays };
}
