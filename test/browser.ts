// A real browser for tests: the Chromium of this machine, without a window. Hosts that end in .example are this machine,
// and there are no others: nothing a page does leaves it.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { chromium, type Browser, type LaunchOptions } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'microsoft-edge', 'msedge'];
const IN_FOLDERS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['Google Chrome', 'Chromium', 'Microsoft Edge'].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`),
  win32: [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA].flatMap((folder) => folder === undefined ? []
    : ['Google\\Chrome\\Application\\chrome.exe', 'Chromium\\Application\\chrome.exe', 'Microsoft\\Edge\\Application\\msedge.exe'].map((path) => join(folder, path))),
};

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of this machine's Chromium (or another browser made of it); CHROMIUM names it where it is looked for in vain. */
function findChromium(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env;
  if (CHROMIUM) return CHROMIUM;
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const onPath = ['/usr/bin', ...PATH.split(delimiter)].filter((folder) => folder !== '').flatMap((folder) => NAMES.map((name) => join(folder, name + suffix)));
  return [...onPath, ...(IN_FOLDERS[process.platform] ?? [])].find(isProgram);
}

const found = findChromium();
/** Without a browser a test is skipped, except where nobody would notice. */
const SKIP = found === undefined && !process.env.CI && 'no Chromium on this machine: CHROMIUM may name one';

/** Starts a browser; whoever calls closes it. Throws where this machine has none. */
export function launch({ args = [], ...options }: LaunchOptions = {}): Promise<Browser> {
  if (found === undefined) throw new Error(`no Chromium found: accepts CHROMIUM, its path, or one of ${NAMES.join(', ')} on PATH`);
  return chromium.launch({
    executablePath: found,
    // Chromium's sandbox refuses to run as root.
    chromiumSandbox: process.getuid?.() !== 0,
    // A test that is ended takes its browser with it: the pipe between them breaks.
    handleSIGTERM: false,
    handleSIGHUP: false,
    args: ['--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1', ...args],
    ...options,
  });
}

let shared: Promise<Browser> | undefined;
after(async () => { await (await shared?.catch(() => undefined))?.close(); });

/** A test with the file's browser: one for all of them, its contexts closed after each. */
export function browserTest(name: string, run: (t: TestContext, browser: Browser) => Promise<void>): void {
  test(name, { skip: SKIP }, async (t) => {
    const browser = await (shared ??= launch());
    t.after(() => Promise.all(browser.contexts().map((context) => context.close())));
    await run(t, browser);
  });
}
