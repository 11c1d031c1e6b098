// Uses Google's Node libraries, unmodified, like a program that talks to Google's servers. Prints
// the results as JSON; the tests that run it check the values.
//
//   node matrix.mjs KEY_FILE AUDIENCE TARGET WANTED...

import {project} from 'gcp-metadata';
import {GoogleAuth, Impersonated, OAuth2Client} from 'google-auth-library';

const [keyFile, audience, target, ...wanted] = process.argv.slice(2);
const scopes = ['https://www.googleapis.com/auth/cloud-platform'];

async function accessToken(client) {
  return (await client.getAccessToken()).token;
}

async function identity() {
  const client = await new GoogleAuth().getIdTokenClient(audience);
  return client.idTokenProvider.fetchIdToken(audience);
}

const means = {
  metadata: () => project('project-id'),
  access: async () => accessToken(await new GoogleAuth({scopes}).getClient()),
  identity,
  key: async () => accessToken(await new GoogleAuth({keyFile, scopes}).getClient()),
  impersonate: async () => {
    const sourceClient = await new GoogleAuth({scopes}).getClient();
    return accessToken(new Impersonated({sourceClient, targetPrincipal: target, targetScopes: scopes}));
  },
  verify: async () => {
    const ticket = await new OAuth2Client().verifyIdToken({idToken: await identity(), audience});
    return ticket.getUserId();
  },
};

const got = {};
for (const name of wanted) got[name] = await means[name]();
console.log(JSON.stringify(got));
