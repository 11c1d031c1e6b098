// The service login calls the other two as itself, with ID tokens of its metadata server.
const http = require('node:http');

const {PORT, PROFILES_URL, SEARCH_URL, OWN_URL, GCE_METADATA_HOST = 'metadata.google.internal', GCP_METADATA_EMULATOR_URL} = process.env;

async function idToken(audience) {
  // Without format=full, the token would have no e-mail address.
  const url = `http://${GCE_METADATA_HOST}/computeMetadata/v1/instance/service-accounts/default/identity?audience=${audience}&format=full`;
  const answer = await fetch(url, {headers: {'Metadata-Flavor': 'Google'}});
  return answer.text();
}

async function call(service, path) {
  const answer = await fetch(service + path, {headers: {Authorization: `Bearer ${await idToken(service)}`}});
  return {status: answer.status, body: (await answer.text()).trim()};
}

// verified says who calls, by Google's library if it is installed, and by Google's tokeninfo otherwise.
async function verified(token) {
  let library;
  try {
    library = require('google-auth-library');
  } catch {
    const answer = await fetch(`${GCP_METADATA_EMULATOR_URL}/tokeninfo?id_token=${token}`);
    const claims = await answer.json();
    if (claims.aud !== OWN_URL) throw new Error(`the token is for ${claims.aud}`);
    return `${claims.email} by tokeninfo`;
  }
  const client = new library.OAuth2Client({endpoints: {oauth2FederatedSignonPemCertsUrl: `${GCP_METADATA_EMULATOR_URL}/oauth2/v1/certs`}});
  const ticket = await client.verifyIdToken({idToken: token, audience: OWN_URL});
  return `${ticket.getPayload().email} by google-auth-library`;
}

http.createServer(async (request, response) => {
  try {
    const caller = await verified(request.headers.authorization.replace(/^Bearer /, ''));
    const got = request.url.startsWith('/search') ? await call(SEARCH_URL, request.url) : await call(PROFILES_URL, request.url);
    response.end(JSON.stringify({caller, ...got}) + '\n');
  } catch (error) {
    response.statusCode = 500;
    response.end(`${error}\n`);
  }
}).listen(PORT, '127.0.0.1');
