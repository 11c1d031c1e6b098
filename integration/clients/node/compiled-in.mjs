// Uses Google's Node libraries, unmodified, with hosts that are compiled into them. Prints the
// results as JSON; the tests that run it check the values.
//
//   node compiled-in.mjs KEY_FILE AUDIENCE TARGET

import {GoogleAuth, Impersonated, OAuth2Client} from 'google-auth-library';

const [keyFile, audience, target] = process.argv.slice(2);
const scope = 'https://www.googleapis.com/auth/cloud-platform';

async function main() {
  const auth = new GoogleAuth({keyFile, scopes: [scope]});
  const client = await auth.getClient(); // exchanges at oauth2.googleapis.com, whatever the file says
  const {token: accessToken} = await client.getAccessToken();
  const idToken = await client.fetchIdToken(audience);
  const ticket = await new OAuth2Client().verifyIdToken({idToken, audience}); // with the certificates of www.googleapis.com
  const impersonated = new Impersonated({sourceClient: client, targetPrincipal: target, targetScopes: [scope]});
  const {token: impersonatedAccessToken} = await impersonated.getAccessToken(); // from iamcredentials.googleapis.com
  return {accessToken, idToken, email: ticket.getPayload().email, impersonatedAccessToken};
}

console.log(JSON.stringify(await main()));
