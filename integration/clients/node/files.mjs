// Google's Node library, unmodified, with credential files that lead to the emulator. Prints what it got as JSON; what the
// values have to be is written in the tests that run it.
//
//   node files.mjs FILE...

import path from 'node:path';
import {GoogleAuth} from 'google-auth-library';

const scopes = ['https://www.googleapis.com/auth/cloud-platform'];

/** The token that a file leads to. */
async function token(keyFilename) {
  const client = await new GoogleAuth({keyFilename, scopes}).getClient();
  const {token: value} = await client.getAccessToken();
  const {expiry_date: expiry} = client.cachedAccessToken; // where clients of external accounts keep it
  return {value, expiry: new Date(expiry).toISOString(), error: ''};
}

const report = {};
for (const file of process.argv.slice(2)) {
  report[path.basename(file, '.json')] = await token(file);
}
console.log(JSON.stringify(report));
