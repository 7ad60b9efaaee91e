// Keys: listed, made (and shown that once), revoked. The same for a site's keys and for the installation's own.
import { useState } from 'preact/hooks';
import type { ListedKey, Scope } from '../core/keys.ts';
import type { Client, MadeKey } from './client.ts';
import { useAction, useLoaded, useSession } from './loading.ts';
import { Card, Copyable, Failed } from './pieces.tsx';

const SCOPES: Readonly<Record<Scope, string>> = { read: 'Read: looks at numbers', write: 'Write: sends events from a server', admin: 'Admin: everything' };

interface KeysProps {
  title: string;
  /** Whose keys they are, among those of this page. */
  of: string;
  list: (client: Client, signal: AbortSignal) => Promise<{ keys: ListedKey[] }>;
  make: (client: Client, scope: Scope, label: string) => Promise<MadeKey>;
  revoke: (client: Client, id: string) => Promise<undefined>;
  scopes: readonly Scope[];
  /** The key that this page is signed in with, which cannot revoke itself. */
  own?: string;
}

/** A site's keys. */
export function SiteKeys({ site }: { site: string }) {
  return <Keys title="Keys" of={`site ${site}`} scopes={['read', 'write']} list={(client, signal) => client.keys(site, signal)} make={(client, scope, label) => client.makeKey(site, { scope, label })} revoke={(client, id) => client.revokeKey(site, id)} />;
}

/** The installation's keys. */
export function AdminKeys({ own }: { own: string }) {
  return <Keys title="Admin keys" of="installation" scopes={['admin']} own={own} list={(client, signal) => client.adminKeys(signal)} make={(client, _, label) => client.makeAdminKey({ label })} revoke={(client, id) => client.revokeAdminKey(id)} />;
}

function Keys({ title, of, list, make, revoke, scopes, own }: KeysProps) {
  const { client } = useSession();
  const { value, trouble, retry } = useLoaded(`keys of ${of}`, list);
  const [made, setMade] = useState<MadeKey>();
  const revoking = useAction(async (id: string) => {
    await revoke(client, id);
    if (made?.id === id) setMade(undefined);
    retry();
  });
  return (
    <Card title={title}>
      <NewKey scopes={scopes} make={(scope, label) => make(client, scope, label)} onMade={(key) => {
        setMade(key);
        retry();
      }} />
      {made && (
        <div class="made" role="status">
          <p><strong>Copy this {made.scope} key now.</strong> It is shown only this once.</p>
          <Copyable text={made.key} label="Key" />
          <button type="button" class="button" onClick={() => { setMade(undefined); }}>I have it</button>
        </div>
      )}
      {trouble && <Failed trouble={trouble} retry={retry} />}
      {revoking.trouble && <Failed trouble={revoking.trouble} />}
      {value && value.keys.length === 0 && <p class="muted">There are no keys yet.</p>}
      {value && value.keys.length > 0 && (
        <div class="scroll">
          <table class="rows">
            <thead><tr><th scope="col">Key</th><th scope="col">Label</th><th scope="col">Made</th><th scope="col">Last used</th><th scope="col"><span class="unseen">What to do</span></th></tr></thead>
            <tbody>
              {value.keys.map(({ id, prefix, scope, label, created_at, last_used_on }) => (
                <tr key={id}>
                  <th scope="row"><code>{prefix ?? `ff_${scope}_`}…</code></th>
                  <td><bdi>{label || '–'}</bdi></td>
                  <td class="time">{created_at.slice(0, 10)}</td>
                  <td class="time">{last_used_on ?? <span class="muted">never</span>}</td>
                  <td class="number">{id === own ? <span class="muted">signed in</span> : <Revoke label={label || id} running={revoking.running} onRevoke={() => { revoking.run(id); }} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

/** Asks once more: what a key did stops at once. */
function Revoke({ label, running, onRevoke }: { label: string; running: boolean; onRevoke: () => void }) {
  const [asked, setAsked] = useState(false);
  if (!asked) return <button type="button" class="button quiet" aria-label={`Revoke ${label}`} onClick={() => { setAsked(true); }}>Revoke</button>;
  return (
    <span class="asked">
      <button type="button" class="button danger" disabled={running} ref={(button) => { button?.focus(); }} onClick={onRevoke}>Revoke for good</button>
      <button type="button" class="button quiet" onClick={() => { setAsked(false); }}>Keep</button>
    </span>
  );
}

function NewKey({ scopes, make, onMade }: { scopes: readonly Scope[]; make: (scope: Scope, label: string) => Promise<MadeKey>; onMade: (key: MadeKey) => void }) {
  const [scope, setScope] = useState(scopes[0]!);
  const [label, setLabel] = useState('');
  const making = useAction(async () => {
    onMade(await make(scope, label.trim()));
    setLabel('');
  });
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    making.run();
  };
  return (
    <form class="line" onSubmit={onSubmit}>
      {scopes.length > 1 && (
        <label>What it may do
          <select value={scope} onChange={(event) => { setScope(event.currentTarget.value as Scope); }}>{scopes.map((one) => <option key={one} value={one}>{SCOPES[one]}</option>)}</select>
        </label>
      )}
      <label>Label <input value={label} maxLength={100} placeholder="Who has it" onInput={(event) => { setLabel(event.currentTarget.value); }} /></label>
      <button type="submit" class="button" disabled={making.running}>Make a key</button>
      {making.trouble && <Failed trouble={making.trouble} />}
    </form>
  );
}
