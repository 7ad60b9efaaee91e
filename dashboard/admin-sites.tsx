// Sites: the list, one site's settings, its keys and its snippet.
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { Site } from '../core/sites.ts';
import { SiteKeys } from './admin-keys.tsx';
import type { Client, SiteSettings } from './client.ts';
import { useAction, useLoaded, useSession } from './loading.ts';
import { Card, Failed, Snippet } from './pieces.tsx';

/** In place of a site's id where one is being made; never the id of a site. */
const NEW = '+';

export function Sites({ chosen, onChoose }: { chosen: string | undefined; onChoose: (site: string | undefined) => void }) {
  const [pages, setPages] = useState(1);
  const [wanted, setWanted] = useState('');
  const { value, trouble, loading, retry } = useLoaded(`sites ${pages}`, (client, signal) => listed(client, pages, signal));
  const shown = value?.sites.filter(({ id, name }) => `${id} ${name}`.toLowerCase().includes(wanted.trim().toLowerCase())) ?? [];
  return (
    <div class="columns">
      <Card title="Sites" tools={<button type="button" class="button" onClick={() => { onChoose(NEW); }}>New site</button>}>
        <label class="unseen" for="wanted">Find a site</label>
        <input id="wanted" type="search" placeholder="Find by name or id" value={wanted} onInput={(event) => { setWanted(event.currentTarget.value); }} />
        {trouble && <Failed trouble={trouble} retry={retry} />}
        {!value && !trouble && <span class="skeleton" />}
        {value && shown.length === 0 && <p class="muted card-note">{value.sites.length === 0 ? 'There are no sites yet: make the first one.' : 'No site is called that.'}</p>}
        <ul class="sites">
          {shown.map(({ id, name }) => (
            <li key={id}><button type="button" aria-current={id === chosen ? 'true' : undefined} onClick={() => { onChoose(id); }}><b><bdi>{name}</bdi></b><code>{id}</code></button></li>
          ))}
        </ul>
        {value?.more && <button type="button" class="button" disabled={loading} onClick={() => { setPages(pages + 1); }}>More sites</button>}
      </Card>
      <div class="stack">
        {chosen === undefined ? <section class="card hint"><p class="muted">Choose a site to see its settings, keys and snippet.</p></section>
          : chosen === NEW ? <NewSite onMade={(id) => {
            retry();
            onChoose(id);
          }} /> : <OneSite key={chosen} site={chosen} onChanged={retry} />}
      </div>
    </div>
  );
}

/** The first so many answers' sites; each answer names where the next begins. */
async function listed(client: Client, pages: number, signal: AbortSignal): Promise<{ sites: { id: string; name: string }[]; more: boolean }> {
  const sites: { id: string; name: string }[] = [];
  let more = true;
  for (let page = 0; page < pages && more; page++) {
    const answer = await client.sites(sites.at(-1)?.id, signal);
    sites.push(...answer.sites);
    more = answer.next !== null;
  }
  return { sites, more };
}

function NewSite({ onMade }: { onMade: (id: string) => void }) {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return <Card title="New site"><SiteForm settings={{ name: '', timezone: timeZone, currency: 'EUR', hosts: [], origins: [] }} onSaved={({ id }) => { onMade(id); }} /></Card>;
}

function OneSite({ site, onChanged }: { site: string; onChanged: () => void }) {
  const { value, trouble, retry } = useLoaded(`site ${site}`, (client, signal) => client.site(site, signal));
  if (trouble) return <section class="card"><Failed trouble={trouble} retry={retry} /></section>;
  if (!value) return <section class="card"><span class="skeleton" /></section>;
  return (
    <>
      <Card title={value.name} tools={<a class="button" href={`/?site=${encodeURIComponent(site)}`}>See its numbers</a>}>
        <SiteForm site={site} settings={value} onSaved={onChanged} />
      </Card>
      <Card title="Snippet"><p class="muted card-note">It goes into the head of every page of the shop.</p><Snippet site={site} /></Card>
      <SiteKeys site={site} />
    </>
  );
}

type Fields = Record<'id' | 'name' | 'timezone' | 'currency' | 'hosts' | 'origins' | 'per_second' | 'burst', string>;

const linesOf = (text: string) => text.split('\n').map((line) => line.trim()).filter((line) => line !== '');

/** A limit that is left empty is the usual one. */
function settingsOf({ name, timezone, currency, hosts, origins, per_second, burst }: Fields): SiteSettings | Omit<SiteSettings, 'rate_limit'> {
  const settings = { name, timezone, currency, hosts: linesOf(hosts), origins: linesOf(origins) };
  return per_second === '' && burst === '' ? settings : { ...settings, rate_limit: { per_second: Number(per_second), burst: Number(burst) } };
}

interface SiteFormProps { site?: string; settings: Omit<SiteSettings, 'rate_limit'> & Partial<Pick<Site, 'rate_limit'>>; onSaved: (site: Site) => void }

function SiteForm({ site, settings, onSaved }: SiteFormProps) {
  const { client } = useSession();
  const [fields, setFields] = useState<Fields>({
    id: site ?? '', name: settings.name, timezone: settings.timezone, currency: settings.currency, hosts: settings.hosts.join('\n'), origins: settings.origins.join('\n'),
    per_second: String(settings.rate_limit?.per_second ?? ''), burst: String(settings.rate_limit?.burst ?? ''),
  });
  const [saved, setSaved] = useState(false);
  const saving = useAction(async () => {
    onSaved(await client.putSite(fields.id, settingsOf(fields)));
    setSaved(true);
  });
  const id = useId();
  const errors = saving.trouble?.errors ?? [];
  const field = (name: keyof Fields, parameter: string = name) => ({
    id: `${id}${name}`, value: fields[name], 'aria-invalid': errors.some((error) => error.parameter === parameter),
    onInput: ({ currentTarget }: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) => {
      setSaved(false);
      setFields({ ...fields, [name]: currentTarget.value });
    },
  });
  const about = (name: keyof Fields, label: string, hint: string, input: ComponentChildren, parameter: string = name) => {
    const error = errors.find((one) => one.parameter === parameter);
    return <div class="field"><label for={`${id}${name}`}>{label}</label>{input}<p class={error ? 'problem' : 'fine'}>{error ? `${error.value} is not accepted: ${error.accepts}` : hint}</p></div>;
  };
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    saving.run();
  };
  return (
    <form class="fields" onSubmit={onSubmit}>
      {about('id', 'Id', 'a-z, 0-9 and -; it stands in the snippet and is never changed.', <input required disabled={site !== undefined} pattern="[a-z0-9][a-z0-9\-]{0,62}" placeholder="shop" autocomplete="off" {...field('id')} />)}
      {about('name', 'Name', 'As the merchant reads it.', <input required maxLength={100} {...field('name')} />)}
      {about('timezone', 'Time zone', 'Its days are the days of the numbers; a change counts from then on.', <input required list={`${id}zones`} autocomplete="off" {...field('timezone')} />)}
      <datalist id={`${id}zones`}>{Intl.supportedValuesOf('timeZone').map((zone) => <option key={zone} value={zone} />)}</datalist>
      {about('currency', 'Currency', 'ISO 4217; revenue counts this one.', <input required maxLength={3} list={`${id}currencies`} autocomplete="off" {...field('currency')} />)}
      <datalist id={`${id}currencies`}>{Intl.supportedValuesOf('currency').map((code) => <option key={code} value={code} />)}</datalist>
      {about('hosts', 'Hosts', 'One a line, such as shop.example, with its subdomains; none = any.', <textarea rows={3} {...field('hosts')} />)}
      {about('origins', 'Origins', 'One a line, such as https://shop.example: pages that may read the numbers.', <textarea rows={3} {...field('origins')} />)}
      {about('per_second', 'Requests a second', 'Of each read key, on average.', <input inputMode="numeric" pattern="\d*" placeholder="10" {...field('per_second', 'rate_limit')} />, 'rate_limit')}
      {about('burst', 'Requests at once', 'Of each read key, after a pause.', <input inputMode="numeric" pattern="\d*" placeholder="50" {...field('burst', 'rate_limit')} />, 'rate_limit')}
      <div class="actions">
        <button type="submit" class="button primary" disabled={saving.running}>{site === undefined ? 'Make the site' : 'Save'}</button>
        <span class="muted" role="status">{saved ? 'Saved.' : ''}</span>
        {saving.trouble && errors.length === 0 && <Failed trouble={saving.trouble} />}
      </div>
    </form>
  );
}
