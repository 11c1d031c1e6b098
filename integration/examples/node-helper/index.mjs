// An emulator of Google's metadata server for a test in Node. It needs the command
// gcp-metadata-emulator in the PATH, and no package.
import {execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout} from 'node:timers/promises';

const command = 'gcp-metadata-emulator';

/** Starts an emulator, or joins the one of GCP_METADATA_EMULATOR_URL. The arguments are flags of serve. */
export async function start(...flags) {
  if (process.env.GCP_METADATA_EMULATOR_URL) return new Emulator(process.env.GCP_METADATA_EMULATOR_URL);
  const folder = mkdtempSync(join(tmpdir(), 'emulator-'));
  const file = join(folder, 'url');
  const child = spawn(command, ['serve', '--listen', '127.0.0.1:0', '--ephemeral', '--url-file', file, ...flags], {stdio: 'inherit'});
  const ended = once(child, 'exit'); // rejected if the command does not exist
  try {
    while (!existsSync(file)) {
      if (await Promise.race([ended, setTimeout(50)])) throw new Error('the emulator does not start');
    }
    return new Emulator(readFileSync(file, 'utf8').trim(), child);
  } finally {
    rmSync(folder, {recursive: true});
  }
}

export class Emulator {
  constructor(url, child) {
    Object.assign(this, {url, child});
  }
  /** Calls the control plane, and returns its JSON. */
  async control(method, path, message) {
    const answer = await fetch(`${this.url}/emulator/v1/${path}`, {method, body: message && JSON.stringify(message)});
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }
  /** Returns the variables that lead programs here, and the names of those to unset. */
  environment(reach = 'env') {
    return JSON.parse(execFileSync(command, ['env', '--shell', 'json', '--url', this.url, '--reach', reach]));
  }
  /** Leads this process, and those that it starts, to the emulator. Returns a function that restores its environment. */
  setEnv(reach) {
    const before = {...process.env};
    const {set, unset} = this.environment(reach);
    for (const name of unset) delete process.env[name];
    Object.assign(process.env, set);
    return () => {
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
      Object.assign(process.env, before);
    };
  }
  /** Sets the clock to a time in RFC 3339, and stops it. */
  setTime(now) { return this.control('PUT', 'clock', {now, frozen: true}); }
  advance(duration) { return this.control('POST', 'clock:advance', {duration}); }
  fail(route, fault) { return this.control('POST', 'faults', {route, ...fault}); }
  /** Returns a token: mint({audience, defect: 'expired'}). */
  async mint(wanted) { return (await this.control('POST', 'tokens', {kind: 'id', ...wanted})).token; }
  /** Returns the journal, for example of 'route=mds.token'. */
  async requests(query = '') { return (await this.control('GET', `requests?${query}`)).requests; }
  reset() { return this.control('POST', 'reset'); }
  /** Ends the emulator if start has started it. */
  async stop() {
    if (!this.child || this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill();
    await ended;
  }
}
