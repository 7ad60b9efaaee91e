// The pipeline on AWS, in the order an event travels: collect, deliver, rollup, serve, and whoever watches over them.
// before: lib/data.ts, which holds what they work on
import { CfnOutput, Stack, Validations, type App } from 'aws-cdk-lib';
import type { Code } from 'aws-cdk-lib/aws-lambda';
import { PREFIXES, type FunctionName } from '../lambdas/environment.ts';
import { Collect } from './collect.ts';
import type { DataStack } from './data.ts';
import { Deliver } from './deliver.ts';
import { Pages, type BuiltPages } from './pages.ts';
import { Rollup } from './rollup.ts';
import { Serve } from './serve.ts';
import type { Resolved } from './settings.ts';
import { Watch } from './watch.ts';

export interface ServiceProps {
  data: DataStack;
  settings: Resolved;
  /** The code of each function. */
  code: (name: FunctionName) => Code;
  pages: BuiltPages;
}

export class ServiceStack extends Stack {
  constructor(scope: App, id: string, { data, settings, code, pages: built }: ServiceProps) {
    super(scope, id, { description: 'Footfall: the pipeline' });
    const defaults = { code, logDays: settings.logDays };
    const collect = new Collect(this, 'Collect', { stream: data.stream, settings });
    const deliver = new Deliver(this, 'Deliver', { data, defaults, settings });
    const rollup = new Rollup(this, 'Rollup', { data, deliver, defaults, settings });
    const serve = new Serve(this, 'Serve', { data, defaults, settings });
    const pages = new Pages(this, 'Pages', { api: serve.api, collect: collect.address, built, settings });
    const watch = new Watch(this, 'Watch', { data, collect, deliver, rollup, serve, settings });
    serve.takeBackOn(watch.ofReaders);
    this.acknowledge(data);

    new CfnOutput(this, 'BrowserDoors', { value: collect.address, description: 'p.gif and e are under this address' });
    new CfnOutput(this, 'Api', { value: serve.api.apiEndpoint, description: 'The API and the server door' });
    new CfnOutput(this, 'Page', { value: `https://${settings.domains.pages?.name ?? pages.distribution.distributionDomainName}`, description: 'The merchant\'s page; the operator\'s is under /admin' });
  }

  private acknowledge(data: DataStack): void {
    // As cdk-nag writes the ARN of the lake's bucket, which this stack reads from the data stack's outputs.
    const lake = `{"Fn::GetStackOutput":{"StackName":"${data.stackName}","Region":{"Ref":"AWS::Region"},"OutputName":"PublishOutputFnGetAttLakeBucketB1D32E10Arn52DE6E6C"}}`;
    Validations.of(this).acknowledge(
      ...Object.values(PREFIXES).map((prefix) => ({
        id: `AwsSolutions-IAM5[Resource::${lake}/${prefix}*]`,
        reason: 'Objects have no names beforehand: whoever may write or read one may do so for all under its prefix.',
      })),
      { id: 'CloudFormation-Validate::W7001', reason: 'The construct for Firehose brings a table of its addresses, whether or not it is used.' },
    );
  }
}
