// A job of GitHub Actions that signs in with its own ID token: GitHub's client asks for the token,
// and Google's library exchanges it, as google-github-actions/auth arranges it.
//
//   node job.mjs PROVIDER ACCOUNT
//
// PROVIDER is the provider's resource name. Prints the claims of the ID token and the access token as JSON.

import {getIDToken} from '@actions/core';
import {GoogleAuth} from 'google-auth-library';

const [provider, account] = process.argv.slice(2);
const audience = `//iam.googleapis.com/${provider}`;

// google-github-actions/auth asks for this audience unless the workflow names another one.
const idToken = await getIDToken(`https:${audience}`);

const client = new GoogleAuth({scopes: 'https://www.googleapis.com/auth/cloud-platform'}).fromJSON({
  type: 'external_account',
  audience,
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  token_url: 'https://sts.googleapis.com/v1/token',
  service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${account}:generateAccessToken`,
  credential_source: {
    url: `${process.env.ACTIONS_ID_TOKEN_REQUEST_URL}&audience=${encodeURIComponent(`https:${audience}`)}`,
    headers: {Authorization: `Bearer ${process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}`},
    format: {type: 'json', subject_token_field_name: 'value'},
  },
});
const {token} = await client.getAccessToken();
console.log(JSON.stringify({claims: JSON.parse(Buffer.from(idToken.split('.')[1], 'base64url')), accessToken: token}));
