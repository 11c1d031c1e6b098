// Firebase's own library: verifies ID tokens and session cookies with the published keys, and
// creates custom tokens with a key file and through the IAM Credentials API.
//
//   node firebase.mjs KEY_FILE ACCOUNT PROJECT
//
// Reads GCP_METADATA_EMULATOR_URL, and HTTPS_PROXY because the library does not. Prints one JSON
// object.

import {cert, initializeApp} from 'firebase-admin/app';
import {getAuth} from 'firebase-admin/auth';
import {HttpsProxyAgent} from 'https-proxy-agent';

const [keyFile, account, projectId] = process.argv.slice(2);
const httpAgent = new HttpsProxyAgent(process.env.HTTPS_PROXY);

async function control(method, message) {
  const response = await fetch(`${process.env.GCP_METADATA_EMULATOR_URL}/emulator/v1/${method}`, {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(message),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}

const mint = async order => (await control('tokens', {user: 'u1', project: projectId, ...order})).token;

async function outcome(promise) {
  try {
    await promise;
    return 'accepted';
  } catch (error) {
    return error.code;
  }
}

const withKeyFile = getAuth(initializeApp({credential: cert(keyFile), projectId, httpAgent}, 'key file'));
const onVM = getAuth(initializeApp({serviceAccountId: account, projectId, httpAgent}, 'VM'));

const verifiers = {
  firebase: token => withKeyFile.verifyIdToken(token),
  'firebase-session': cookie => withKeyFile.verifySessionCookie(cookie),
};
const report = {verified: {}, refused: {}, custom: []};
for (const [kind, verify] of Object.entries(verifiers)) {
  report.verified[kind] = await verify(await mint({kind, claims: {role: 'admin'}}));
  const refused = {};
  for (const defect of ['expired', 'wrong-issuer', 'wrong-audience', 'unknown-key', 'tampered', 'alg-none']) {
    refused[defect] = await outcome(verify(await mint({kind, defect})));
  }
  refused['another project'] = await outcome(verify(await mint({kind, project: 'other-project'})));
  refused['another kind'] = await outcome(verify(await mint({kind: kind === 'firebase' ? 'firebase-session' : 'firebase'})));
  report.refused[kind] = refused;
}
for (const auth of [withKeyFile, onVM]) {
  report.custom.push(await control('tokens:verify', {token: await auth.createCustomToken('u1', {role: 'admin'})}));
}
console.log(JSON.stringify(report));
process.exit(0); // the proxy's tunnels would keep the process alive
