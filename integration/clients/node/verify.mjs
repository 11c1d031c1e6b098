// Verifies ID tokens with Node's standard library only: it shares no code with the emulator or
// with Google's libraries. Each token must verify against the JWKS of /oauth2/v3/certs and
// against the X.509 certificates of /oauth2/v1/certs. Both must refuse it after one byte of its
// header, payload or signature was changed.
//
//   node verify.mjs AUDIENCE TOKEN...
//
// Reads GCP_METADATA_EMULATOR_URL. Prints the claims of the tokens as a JSON array.

import assert from 'node:assert/strict';
import {createPublicKey, verify, X509Certificate} from 'node:crypto';
import {tamper} from './tamper.mjs';

const [audience, ...tokens] = process.argv.slice(2);
const emulator = process.env.GCP_METADATA_EMULATOR_URL;

async function fetchJSON(path) {
  const response = await fetch(emulator + path);
  assert.equal(response.status, 200, `${path}: ${response.status}`);
  return response.json();
}

/** Public keys by key ID, from a JWK set. */
function keysOfJWKs({keys}) {
  return new Map(keys.map(jwk => {
    assert.deepEqual([jwk.kty, jwk.alg, jwk.use], ['RSA', 'RS256', 'sig']);
    return [jwk.kid, createPublicKey({key: jwk, format: 'jwk'})];
  }));
}

/** Public keys by key ID, from a map of PEM certificates. Google's key IDs are the SHA-1 of the certificate. */
function keysOfCertificates(pems, now) {
  return new Map(Object.entries(pems).map(([kid, pem]) => {
    const certificate = new X509Certificate(pem);
    assert.equal(certificate.fingerprint.replaceAll(':', '').toLowerCase(), kid);
    assert.ok(certificate.verify(certificate.publicKey), 'the certificate is signed by itself');
    assert.ok(Date.parse(certificate.validFrom) <= now && now < Date.parse(certificate.validTo), 'the certificate is valid now');
    return [kid, certificate.publicKey];
  }));
}

/** Returns the claims of a valid token, and throws for any other. */
function check(token, keys, now) {
  const [header, payload, signature] = token.split('.');
  const {alg, kid, typ} = JSON.parse(Buffer.from(header, 'base64url'));
  assert.deepEqual([alg, typ], ['RS256', 'JWT']);
  assert.ok(keys.has(kid), `unknown key ${kid}`);
  const signed = Buffer.from(`${header}.${payload}`);
  assert.ok(verify('RSA-SHA256', signed, keys.get(kid), Buffer.from(signature, 'base64url')), 'the signature does not verify');
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  assert.equal(claims.iss, 'https://accounts.google.com');
  assert.equal(claims.aud, audience);
  assert.ok(claims.iat <= now / 1000, 'issued in the future');
  assert.ok(now / 1000 < claims.exp, 'expired');
  return claims;
}

const now = Date.now();
const jwks = keysOfJWKs(await fetchJSON('/oauth2/v3/certs'));
const certificates = keysOfCertificates(await fetchJSON('/oauth2/v1/certs'), now);
assert.deepEqual([...jwks.keys()].sort(), [...certificates.keys()].sort(), 'both forms publish the same keys');

const claims = tokens.map(token => {
  const seen = [jwks, certificates].map(keys => {
    for (const altered of tamper(token)) {
      assert.throws(() => check(altered, keys, now), undefined, `accepted: ${altered}`);
    }
    return check(token, keys, now);
  });
  assert.deepEqual(seen[0], seen[1]);
  return seen[0];
});
console.log(JSON.stringify(claims));
