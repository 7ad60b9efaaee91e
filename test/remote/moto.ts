// Runs the AWS adapters' suites against moto, an emulator that keeps DynamoDB, Kinesis, SQS and S3 in memory: the SDK's
// requests and answers as they go over the wire. It listens on a loopback port of its own, and ends with this process.
// Usage: node --import tsx test/remote/moto.ts <python that has moto[server]>
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const python = process.argv[2];
if (python === undefined) throw new Error('no Python named: accepts the path of one that has moto[server]');

// It stops when its input ends, so also when this process is killed.
const SERVER = `
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
`;
const moto = spawn(python, ['-c', SERVER], { stdio: ['pipe', 'pipe', 'inherit'] });
const [port] = await Promise.race([
  once(createInterface(moto.stdout), 'line') as Promise<[string]>,
  once(moto, 'exit').then(([code]) => { throw new Error(`moto did not start: ${python} ended with ${code}`); }),
]);

// None of the account that whoever runs this may be signed in to.
const own = Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_'));
const suites = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, '..', 'run.ts'), 'ports.test', '.remote.test'], {
  stdio: 'inherit',
  env: {
    ...Object.fromEntries(own),
    REMOTE: '1', AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test',
  },
});
const [code] = await once(suites, 'exit') as [number | null];
moto.stdin.end();
await once(moto, 'exit');
process.exitCode = code ?? 1;
