// The small pieces of both pages: the mark, icons, tabs, a sentence where something went wrong, the switch of the theme.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { CONFIG, SNIPPET, type PagesConfig } from '../core/pages.ts';
import type { Trouble } from './client.ts';

const ICONS = {
  download: 'M8 2v8m0 0L5 7m3 3 3-3M3 13h10',
  close: 'm4 4 8 8m0-8-8 8',
  sun: 'M8 1.5v1m0 11v1m6.5-6.5h-1m-11 0h-1m11.1-4.6-.7.7m-7.8 7.8-.7.7m9.2 0-.7-.7M4.1 4.1l-.7-.7M11 8a3 3 0 1 1-6 0 3 3 0 0 1 6 0Z',
  moon: 'M13.5 9.8A5.8 5.8 0 0 1 6.2 2.5a5.8 5.8 0 1 0 7.3 7.3Z',
  leave: 'M6 2.5H3.5v11H6m4-8L12.5 8 10 10.5M12.5 8h-6',
  calendar: 'M2.5 6.5h11M5 1.5v3m6-3v3m-7.5-1h9a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1Z',
  copy: 'M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z',
  down: 'm4 6 4 4 4-4',
  filter: 'M2 3h12L9.5 8.5v4l-3 1.5V8.5z',
  table: 'M2.5 3h11v10h-11zm0 3.3h11m-11 3.4h11M6.5 6.3V13',
  line: 'm2 11 4-4.5 3 2.5 5-6',
} as const;

export function Icon({ name }: { name: keyof typeof ICONS }) {
  return <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d={ICONS[name]} /></svg>;
}

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect class="mark-ground" width="32" height="32" rx="8" />
      <path class="mark-bars" d="M9.2 19v4.2M16 14v9.2M22.8 9v14.2" />
    </svg>
  );
}

export interface TabChoice<T extends string> { id: T; label: string }

/** Tabs as the keyboard knows them: one stop, arrows between. What they show stands in the panel of the same id. */
export function Tabs<T extends string>({ label, tabs, chosen, onChoose, panel }: { label: string; tabs: readonly TabChoice<T>[]; chosen: T; onChoose: (id: T) => void; panel: string }) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = (tabs.findIndex(({ id }) => id === chosen) + step + tabs.length) % tabs.length;
    onChoose(tabs[at]!.id);
    list.current?.querySelectorAll('button')[at]?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
      {tabs.map(({ id, label: text }) => (
        <button key={id} type="button" role="tab" aria-selected={id === chosen} aria-controls={panel} tabIndex={id === chosen ? 0 : -1} onClick={() => { onChoose(id); }}>{text}</button>
      ))}
    </div>
  );
}

/** A choice of few, all of them seen. */
export function Choice<T extends string>({ label, choices, chosen, onChoose }: { label: string; choices: readonly TabChoice<T>[]; chosen: T; onChoose: (id: T) => void }) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {choices.map(({ id, label: text }) => (
        <button key={id} type="button" aria-pressed={id === chosen} onClick={() => { onChoose(id); }}>{text}</button>
      ))}
    </div>
  );
}

/** What went wrong, in the server's words, and a way on. */
export function Failed({ trouble, retry }: { trouble: Trouble; retry?: () => void }) {
  return (
    <div class="failed" role="alert">
      <p>{trouble.message}</p>
      {retry && <button type="button" class="button" onClick={retry}>Try again</button>}
    </div>
  );
}

/** Text that people copy. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState<boolean>();
  useEffect(() => {
    if (copied === undefined) return undefined;
    const timer = setTimeout(() => { setCopied(undefined); }, 2000);
    return () => { clearTimeout(timer); };
  }, [copied]);
  const copy = () => {
    navigator.clipboard.writeText(text).then(() => { setCopied(true); }, () => { setCopied(false); });
  };
  return (
    <div class="copyable">
      <pre tabIndex={0} role="region" aria-label={label}><code>{text}</code></pre>
      <button type="button" class="button" onClick={copy}><Icon name="copy" />{copied === undefined ? 'Copy' : copied ? 'Copied' : 'Select it and copy'}</button>
      <span class="unseen" role="status">{copied ? `${label} copied` : ''}</span>
    </div>
  );
}

/** The address of the browser doors, with a slash at its end; undefined until it is known. */
function useDoors(): string | undefined {
  const own = `${window.location.origin}/`;
  const [doors, setDoors] = useState<string>();
  useEffect(() => {
    fetch(`/${CONFIG}`).then(async (response) => (await response.json() as PagesConfig).collect || own).catch(() => own).then(setDoors, () => undefined);
  }, [own]);
  return doors;
}

/** The snippet of a shop's pages. The script knows by itself where the doors are. */
export function Snippet({ site }: { site: string }) {
  const doors = useDoors();
  if (doors === undefined) return <p class="muted">…</p>;
  const text = `<script defer src="${window.location.origin}/${SNIPPET}" data-site="${site}"></script>\n<noscript><img src="${doors}p.gif?site=${site}" alt="" referrerpolicy="no-referrer-when-downgrade"></noscript>`;
  return <Copyable text={text} label="Snippet" />;
}

const THEME = 'footfall-theme';

/** The theme that was chosen here before; the system's where none was, or none can be kept. */
export function restoreTheme(): void {
  const theme = storage(() => localStorage.getItem(THEME));
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
}

/** What a storage says; undefined where the browser keeps none for us. */
export function storage<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch {
    return undefined; // Storage that is blocked throws at the first touch: then nothing is remembered.
  }
}

export function ThemeSwitch() {
  const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  const [dark, setDark] = useState(isDark);
  useEffect(() => {
    const system = matchMedia('(prefers-color-scheme: dark)');
    const follow = () => { setDark(isDark()); };
    system.addEventListener('change', follow);
    return () => { system.removeEventListener('change', follow); };
  }, []);
  const change = () => {
    const theme = dark ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    storage(() => { localStorage.setItem(THEME, theme); });
    setDark(!dark);
    // What is drawn on a canvas has to be drawn again.
    window.dispatchEvent(new Event('themechange'));
  };
  return <button type="button" class="button quiet square" aria-label={dark ? 'Light colours' : 'Dark colours'} title={dark ? 'Light colours' : 'Dark colours'} onClick={change}><Icon name={dark ? 'sun' : 'moon'} /></button>;
}

/** A heading and what belongs under it. */
export function Card({ title, tools, wide, children }: { title: string; tools?: ComponentChildren; wide?: boolean; children: ComponentChildren }) {
  const id = useId();
  return (
    <section class={wide ? 'card wide' : 'card'} aria-labelledby={id}>
      <header class="card-head"><h2 id={id}>{title}</h2>{tools}</header>
      {children}
    </section>
  );
}
