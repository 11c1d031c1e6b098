#!/usr/bin/env node
// The OAuth 2.0 flow for service accounts, by hand and with nothing but Node, from
// https://developers.google.com/identity/protocols/oauth2/service-account.
//
// With Google:         node jwt-by-hand.mjs KEY_FILE.json
// With the emulator:   gcp-metadata-emulator exec -- sh -c '
//                        gcp-metadata-emulator credentials service-account --output key.json &&
//                        node jwt-by-hand.mjs key.json'
//
// Only the four lines below the imports mention the emulator.

import {createSign} from 'node:crypto';
import {readFileSync} from 'node:fs';

const emulator = process.env.GCP_METADATA_EMULATOR_URL;
const tokenEndpoint = `${emulator ?? 'https://www.googleapis.com'}/oauth2/v4/token`;
const tokenInfo = `${emulator ?? 'https://oauth2.googleapis.com'}/tokeninfo`;
const iamCredentials = emulator ?? 'https://iamcredentials.googleapis.com';

const [keyFile, account, audience = 'https://service.example.com'] = process.argv.slice(2);
if (!keyFile) {
  console.error('usage: jwt-by-hand.mjs KEY_FILE [ACCOUNT_TO_CALL_FOR [AUDIENCE]]');
  process.exit(2);
}

// 1. The key file contains the account's address and its private key. Google knows the public
// key.
const key = JSON.parse(readFileSync(keyFile, 'utf8'));

// 2. A JWT is two JSON objects in base64url, joined by a dot …
const base64url = object => Buffer.from(JSON.stringify(object)).toString('base64url');
const now = Math.floor(Date.now() / 1000);
const header = {alg: 'RS256', typ: 'JWT', kid: key.private_key_id};
const claims = {
  iss: key.client_email, // who is speaking
  scope: 'https://www.googleapis.com/auth/cloud-platform', // what for
  aud: 'https://www.googleapis.com/oauth2/v4/token', // to whom: always Google's own address
  iat: now,
  exp: now + 3600, // an hour at most
};
const unsigned = `${base64url(header)}.${base64url(claims)}`;

// … and a signature of that text.
const signature = createSign('RSA-SHA256').update(unsigned).sign(key.private_key, 'base64url');
const assertion = `${unsigned}.${signature}`;

// 3. The token endpoint exchanges the assertion for an access token.
const granted = await call(tokenEndpoint, {
  method: 'POST',
  body: new URLSearchParams({grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion}),
});

// 4. Describe the token. Anyone who has it may ask.
const info = await call(`${tokenInfo}?access_token=${encodeURIComponent(granted.access_token)}`);

// 5. The token opens an API: get an ID token of an account, for a service that checks its
// callers.
const identity = await call(
  `${iamCredentials}/v1/projects/-/serviceAccounts/${account ?? key.client_email}:generateIdToken`,
  {
    method: 'POST',
    headers: {'Authorization': `Bearer ${granted.access_token}`, 'Content-Type': 'application/json'},
    body: JSON.stringify({audience, includeEmail: true}),
  },
);

console.log(JSON.stringify({granted, info, identity}, null, 2));

async function call(url, options) {
  const response = await fetch(url, options);
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`${url}: ${response.status}: ${text}`);
  }
  return JSON.parse(text);
}
