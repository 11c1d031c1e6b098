// Uses Google's Node library, unmodified, like an application that lets users sign in with
// Google. Prints the results as JSON; the tests that run it check the values.
//
//   node users.mjs CLIENT USER AUDIENCE

import {CodeChallengeMethod, OAuth2Client, UserRefreshClient} from 'google-auth-library';

const [clientId, user, audience] = process.argv.slice(2);
const emulator = process.env.GCP_METADATA_EMULATOR_URL;
const endpoints = {
  oauth2AuthBaseUrl: `${emulator}/o/oauth2/v2/auth`,
  oauth2TokenUrl: `${emulator}/token`,
  oauth2RevokeUrl: `${emulator}/revoke`,
  tokenInfoUrl: `${emulator}/tokeninfo`,
  oauth2FederatedSignonPemCertsUrl: `${emulator}/oauth2/v1/certs`,
};
const options = {clientId, clientSecret: 'any', redirectUri: 'http://localhost:8085/callback', endpoints};

const client = new OAuth2Client(options);
const {codeVerifier, codeChallenge} = await client.generateCodeVerifierAsync();
const address = client.generateAuthUrl({
  access_type: 'offline',
  scope: ['openid', 'email', 'https://www.googleapis.com/auth/cloud-platform'],
  login_hint: user,
  code_challenge: codeChallenge,
  code_challenge_method: CodeChallengeMethod.S256,
});
const answer = await fetch(address, {redirect: 'manual'});
const code = new URL(answer.headers.get('location')).searchParams.get('code');
const {tokens} = await client.getToken({code, codeVerifier});
const ticket = await client.verifyIdToken({idToken: tokens.id_token, audience: clientId});

const refresher = new UserRefreshClient({...options, refreshToken: tokens.refresh_token});
const {token} = await refresher.getAccessToken();
const info = await client.getTokenInfo(token);
const idToken = await refresher.fetchIdToken(audience);
await client.revokeToken(tokens.refresh_token);
const refusal = await refresher.refreshAccessToken().then(() => 'none', error => error.message);

console.log(JSON.stringify({
  email: ticket.getPayload().email,
  audience: ticket.getPayload().aud,
  accessToken: token,
  info: {email: info.email, aud: info.aud, scopes: info.scopes},
  idToken,
  refusal,
}));
