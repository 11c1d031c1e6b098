// Uses Google's Node libraries, unmodified, like a program on a Compute Engine VM. Prints the
// results as JSON; the tests that run it check the values.
//
//   node client.mjs AUDIENCE TARGET

import diagnostics from 'node:diagnostics_channel';
import {GoogleAuth, Impersonated, OAuth2Client} from 'google-auth-library';
import gcpMetadata from 'gcp-metadata';
import {tamper} from './tamper.mjs';

const [audience, target] = process.argv.slice(2);
const emulator = process.env.GCP_METADATA_EMULATOR_URL;
const signedBytes = 'bytes that a client wants signed';
const scope = 'https://www.googleapis.com/auth/cloud-platform';

/** All hosts that this process connects to. */
const hosts = new Set();
diagnostics.subscribe('net.client.socket', ({socket}) => {
  socket.once('lookup', (err, address, family, host) => hosts.add(host));
  socket.once('connect', () => hosts.add(socket.remoteAddress));
});

/** Metadata values, read with gcp-metadata. */
async function metadata() {
  const edit = await fetch(`${emulator}/emulator/v1/instances/-/metadata/instance/attributes/greeting`, {
    method: 'PUT',
    body: JSON.stringify({value: 'hello'}),
  });
  if (!edit.ok) {
    throw new Error(`not edited: ${await edit.text()}`);
  }
  return {
    isAvailable: await gcpMetadata.isAvailable(),
    projectId: await gcpMetadata.project('project-id'),
    numericProjectId: String(await gcpMetadata.project('numeric-project-id')),
    instanceId: String(await gcpMetadata.instance('id')),
    name: await gcpMetadata.instance('name'),
    hostname: await gcpMetadata.instance('hostname'),
    zone: await gcpMetadata.instance('zone'),
    email: await gcpMetadata.instance('service-accounts/default/email'),
    universeDomain: await gcpMetadata.universe('universe-domain'),
    serviceAccount: await gcpMetadata.instance({property: 'service-accounts/default/', params: {recursive: 'true'}}),
    attribute: await gcpMetadata.instance('attributes/greeting'),
    everything: await everything(),
    missing: await refused(() => gcpMetadata.instance('attributes/nobody-set-this')),
    answersPing: await ping(),
  };
}

/** The same values, read several at a time: as a directory, with a query, and with the library's bulk call. */
async function everything() {
  const whole = await gcpMetadata.instance({property: '', params: {recursive: 'true'}, headers: {'X-Of-Ours': 'x'}});
  const bulk = await gcpMetadata.bulk([{metadataKey: 'instance/name'}, {metadataKey: 'instance/id'}]);
  return {
    id: String(whole.id), bulkId: String(bulk['instance/id']), bulkName: bulk['instance/name'],
    folders: (await gcpMetadata.project()).split('\n'),
    text: await gcpMetadata.instance({property: 'attributes/', params: {recursive: 'true', alt: 'text'}}),
  };
}

/** Whether the library detects the metadata server without configuration: it requests a directory without its slash. */
async function ping() {
  process.env.METADATA_SERVER_DETECTION = 'ping-only';
  gcpMetadata.resetIsAvailableCache();
  return gcpMetadata.isAvailable();
}

/** The error of a call that must fail. */
async function refused(call) {
  try {
    await call();
  } catch (error) {
    return {message: error.message, status: error.status ?? null};
  }
  throw new Error(`not refused: ${call}`);
}

/** Verifies an ID token as a service does, with Google's verifier and the emulator's certificates. */
async function verify(idToken) {
  const verifier = new OAuth2Client({
    endpoints: {oauth2FederatedSignonPemCertsUrl: `${emulator}/oauth2/v1/certs`},
  });
  const ticket = await verifier.verifyIdToken({idToken, audience});
  const wrongAudience = await refused(() => verifier.verifyIdToken({idToken, audience: 'https://someone-else.example.com'}));
  const tampered = [];
  for (const altered of tamper(idToken)) {
    tampered.push(await refused(() => verifier.verifyIdToken({idToken: altered, audience})));
  }
  return {payload: ticket.getPayload(), wrongAudience, tampered};
}

async function main() {
  const auth = new GoogleAuth({scopes: [scope]});
  const client = await auth.getClient();
  const {token: accessToken} = await client.getAccessToken();
  const idClient = await auth.getIdTokenClient(audience);
  const idToken = await idClient.idTokenProvider.fetchIdToken(audience);
  const impersonated = new Impersonated({sourceClient: client, targetPrincipal: target, targetScopes: [scope], endpoint: emulator});
  const {token: impersonatedAccessToken} = await impersonated.getAccessToken();
  const impersonatedIdToken = await impersonated.fetchIdToken(audience, {includeEmail: true});
  return {
    metadata: await metadata(),
    client: client.constructor.name,
    projectId: await auth.getProjectId(),
    accessToken,
    expiryDate: client.credentials.expiry_date,
    authorization: (await client.getRequestHeaders()).get('authorization'),
    idToken,
    verified: await verify(idToken),
    impersonatedAccessToken,
    impersonatedIdToken,
    signature: await auth.sign(signedBytes, `${emulator}/v1/projects/-/serviceAccounts/`),
    hosts: [...hosts].sort(),
  };
}

console.log(JSON.stringify(await main()));
