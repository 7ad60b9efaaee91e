// The SDK's clients, made when a function asks for them. Each retries what is worth retrying by itself (throttling, 5xx,
// connections); what goes on failing is an error of the call.
import { AthenaClient } from '@aws-sdk/client-athena';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { FirehoseClient } from '@aws-sdk/client-firehose';
import { KinesisClient } from '@aws-sdk/client-kinesis';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import { SQSClient } from '@aws-sdk/client-sqs';
import { INVOKE_CONFIG } from './loader.ts';

export const athena = () => new AthenaClient();
export const cloudwatch = () => new CloudWatchClient();
export const dynamo = () => new DynamoDBClient();
export const firehose = () => new FirehoseClient();
export const kinesis = () => new KinesisClient();
export const lambda = () => new LambdaClient(INVOKE_CONFIG);
export const s3 = () => new S3Client();
export const sqs = () => new SQSClient();
