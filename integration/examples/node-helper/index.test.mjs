import assert from 'node:assert/strict';
import {after, before, beforeEach, test} from 'node:test';
import {GoogleAuth} from 'google-auth-library';
import {start} from './index.mjs';

const audience = 'https://service.example.com';
let emulator, restore;
before(async () => {
  emulator = await start();
  restore = emulator.setEnv();
});
beforeEach(() => emulator.reset());
after(async () => {
  restore?.();
  await emulator?.stop();
  if (emulator?.child) await assert.rejects(fetch(emulator.url), 'the emulator has ended');
  assert.equal(process.env.GCE_METADATA_HOST, undefined);
});

test('faults, clock and journal', async () => {
  await emulator.fail('mds.token', {status: 503, times: 1});
  assert.match(await new GoogleAuth().getAccessToken(), /^ya29\./);
  assert.deepEqual((await emulator.requests('route=mds.token')).map(request => request.status), [503, 200]);
  await emulator.setTime('2031-02-03T04:05:06Z');
  await emulator.advance('1h');
  assert.equal((await emulator.control('GET', 'clock')).now, '2031-02-03T05:05:06Z');
});

test('a bad token', async () => {
  assert.deepEqual(await emulator.requests('route=mds.token'), [], 'each test is as new');
  const verify = async token => emulator.control('POST', 'tokens:verify', {token, audience});
  assert.equal((await verify(await emulator.mint({audience}))).valid, true);
  assert.match((await verify(await emulator.mint({audience, defect: 'expired'}))).reason, /expired/);
  await assert.rejects(emulator.mint({audience, defect: 'no-such-defect'}), /no-such-defect/);
});
