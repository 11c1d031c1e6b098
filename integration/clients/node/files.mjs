// Uses Google's Node library, unmodified, with credential files that lead to the emulator. Prints
// the results as JSON; the tests that run it check the values.
//
//   node files.mjs FILE...

import path from 'node:path';
import {GoogleAuth} from 'google-auth-library';

const scopes = ['https://www.googleapis.com/auth/cloud-platform'];

/** The token that the library gets with a file. */
async function token(keyFilename) {
  const client = await new GoogleAuth({keyFilename, scopes}).getClient();
  const {token: value} = await client.getAccessToken();
  const {expiry_date: expiry} = client.cachedAccessToken; // set by clients of external accounts
  return {value, expiry: new Date(expiry).toISOString(), error: ''};
}

const report = {};
for (const file of process.argv.slice(2)) {
  report[path.basename(file, '.json')] = await token(file);
}
console.log(JSON.stringify(report));
