// The dashboard: one row a stage, in the order an event travels. before: lib/watch.ts, whose numbers these are
import { Duration } from 'aws-cdk-lib';
import { AlarmStatusWidget, Dashboard, GraphWidget, Stats, TextWidget, type Alarm, type IMetric, type IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { SIGNALS } from '../lambdas/environment.ts';
import { FIVE, api, delivery, doors, signal, stream, throttled, units, waiting, type Stages } from './measures.ts';

const COLUMNS = 24;

/** Makes it, with the state of all alarms on top. */
export function dashboardOf(scope: Construct, { data, collect, deliver, rollup, serve }: Stages, alarms: Alarm[]): Dashboard {
  const dashboard = new Dashboard(scope, 'Dashboard', { defaultInterval: Duration.days(1) });
  dashboard.addWidgets(new AlarmStatusWidget({ title: 'Alarms', alarms, width: COLUMNS, height: 4 }));
  for (const widgets of [
    row('Collect: the browser doors, and the stream',
      graph('Requests at the doors', doors(collect, 'Count'), doors(collect, '4XXError'), doors(collect, '5XXError')),
      graph('Doors, ms', doors(collect, 'Latency', Stats.percentile(50)), doors(collect, 'Latency', Stats.percentile(99))),
      graph('Records into the stream', stream(data, 'IncomingRecords'), stream(data, 'WriteProvisionedThroughputExceeded'))),
    row('Deliver: from the stream into the lake',
      graph('Events', signal(scope, SIGNALS.events), signal(scope, SIGNALS.rejected), signal(scope, SIGNALS.undeliverable), signal(scope, SIGNALS.setAside), signal(scope, SIGNALS.retried)),
      graph('Age of what is not in the lake, s', delivery(deliver.live, 'DeliveryToS3.DataFreshness', Stats.MAXIMUM), delivery(deliver.replay, 'DeliveryToS3.DataFreshness', Stats.MAXIMUM)),
      graph('Transform, ms', ...[50, 99].map((p) => deliver.transform.metricDuration({ period: FIVE, statistic: Stats.percentile(p) })))),
    row('Rollup: from the lake into the metrics table',
      graph('Freshness, s', signal(scope, SIGNALS.freshness, FIVE, Stats.MAXIMUM)),
      graph('Tasks', signal(scope, SIGNALS.waitingTasks, FIVE, Stats.MAXIMUM), signal(scope, SIGNALS.parkedTasks, FIVE, Stats.MAXIMUM), signal(scope, SIGNALS.tasksDone), signal(scope, SIGNALS.tasksFailed), waiting(data.lake.notices)),
      graph('Bytes read by queries', signal(scope, SIGNALS.bytesScanned)),
      graph('Items written', signal(scope, SIGNALS.itemsWritten), rollup.load.metricInvocations({ period: FIVE }))),
    row('Serve: from the metrics table to the merchant',
      graph('Requests at the API', api(serve, 'Count'), api(serve, '4xx'), api(serve, '5xx'), signal(scope, SIGNALS.errors)),
      graph('API, ms', api(serve, 'Latency', Stats.percentile(50)), api(serve, 'Latency', Stats.percentile(99))),
      graph('Units of the metrics table', units(data.metrics, 'ConsumedReadCapacityUnits'), units(data.metrics, 'ConsumedWriteCapacityUnits')),
      graph('Requests that tables refused', throttled(data.registry), throttled(data.metrics))),
  ]) dashboard.addWidgets(...widgets);
  return dashboard;
}

/** A heading of its own line, and graphs that share the next. */
function row(title: string, ...graphs: ((width: number) => IWidget)[]): IWidget[] {
  return [new TextWidget({ markdown: `## ${title}`, width: COLUMNS, height: 1 }), ...graphs.map((make) => make(COLUMNS / graphs.length))];
}

function graph(title: string, ...left: IMetric[]): (width: number) => IWidget {
  return (width) => new GraphWidget({ title, left, width, height: 6, leftYAxis: { min: 0, showUnits: false } });
}
