// A Node test: it starts one emulator for the file, and resets it for each test.
import assert from 'node:assert/strict';
import {execFileSync, spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, afterEach, before, test} from 'node:test';
import {setTimeout} from 'node:timers/promises';
import {GoogleAuth} from 'google-auth-library';

let emulator;
before(async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'emulator-')), 'url');
  emulator = spawn('gcp-metadata-emulator', ['serve', '--listen', '127.0.0.1:0', '--ephemeral', '--url-file', file], {stdio: 'inherit'});
  while (!existsSync(file)) {
    assert.equal(emulator.exitCode, null);
    await setTimeout(50);
  }
  const env = ['env', '--shell', 'json', '--url', readFileSync(file, 'utf8').trim()];
  const {set, unset} = JSON.parse(execFileSync('gcp-metadata-emulator', env));
  for (const name of unset) delete process.env[name];
  Object.assign(process.env, set);
});
after(() => emulator.kill());
afterEach(() => control('POST', 'reset'));

async function control(method, path, message) {
  const url = `${process.env.GCP_METADATA_EMULATOR_URL}/emulator/v1/${path}`;
  const response = await fetch(url, {method, body: message && JSON.stringify(message)});
  assert.ok(response.ok, await response.text());
}

test('a token that has expired is replaced', async () => {
  const auth = new GoogleAuth();
  const first = await auth.getAccessToken();
  await control('POST', 'clock:advance', {duration: '2h'});
  assert.notEqual(await new GoogleAuth().getAccessToken(), first);
  await control('GET', 'requests?route=mds.token&expect=2');
});
