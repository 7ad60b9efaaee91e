// A part's numbers as a file: the same read, as CSV.
import type { Answers } from './client.ts';
import { useAction, useSession } from './loading.ts';
import { Icon } from './pieces.tsx';

/** @param what what is in the file, for the button's name */
export function Download({ read, site, parameters, what }: { read: keyof Answers; site: string; parameters: Record<string, string>; what: string }) {
  const { client } = useSession();
  const { run, running, trouble } = useAction(async () => {
    const { name, file } = await client.csv(read, site, parameters);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = name;
    link.click();
    // The browser has taken the file when the click has been handled.
    setTimeout(() => { URL.revokeObjectURL(link.href); }, 0);
  });
  return (
    <button type="button" class={trouble ? 'button quiet square bad' : 'button quiet square'} disabled={running} aria-label={`Download ${what} as CSV`} title={trouble ? trouble.message : 'Download as CSV'} onClick={() => { run(); }}>
      <Icon name="download" />
    </button>
  );
}
