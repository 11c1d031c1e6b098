"""Google's google-auth for Python, unmodified, as a program on a Compute Engine VM uses it.

Prints what it got as JSON; what the values have to be is written in the tests that run it.

    python3 client.py KEY_FILE AUDIENCE TARGET
"""

import base64
import json
import os
import sys

import google.auth
import google.auth.compute_engine
import google.auth.exceptions
import google.auth.impersonated_credentials
import google.auth.jwt
import google.auth.transport.requests
from google.auth import crypt
from google.oauth2 import id_token, service_account

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def tamper(token):
    """The token three times, each time with one byte changed: of the header, of the payload, of the signature."""
    parts = token.split(".")
    for i, part in enumerate(parts):
        data = bytearray(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        data[len(data) // 2] ^= 1
        changed = base64.urlsafe_b64encode(bytes(data)).rstrip(b"=").decode()
        yield ".".join(parts[:i] + [changed] + parts[i + 1 :])


def refused(call):
    """Why a call was refused. A call that was not is a failure."""
    try:
        call()
    except (ValueError, google.auth.exceptions.GoogleAuthError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("not refused")


def access(credentials, request):
    credentials.refresh(request)
    return {"value": credentials.token, "expiry": credentials.expiry.isoformat() + "Z"}


def main(key_file, audience, target):
    emulator = os.environ["GCP_METADATA_EMULATOR_URL"]
    request = google.auth.transport.requests.Request()

    def get(path):
        response = request(emulator + path)
        assert response.status == 200, f"{path}: {response.status}"
        return json.loads(response.data)

    def verify(token, audience=audience):
        return id_token.verify_token(token, request, audience=audience, certs_url=emulator + "/oauth2/v1/certs")

    report = {"version": google.auth.__version__}

    # The metadata server, which google.auth.default() finds without configuration.
    credentials, report["projectId"] = google.auth.default(scopes=[SCOPE])
    report["default"] = access(credentials, request)
    report["defaultType"] = f"{type(credentials).__module__}.{type(credentials).__name__}"
    report["email"] = credentials.service_account_email
    report["universeDomain"] = credentials.universe_domain
    identity = google.auth.compute_engine.IDTokenCredentials(request, audience, use_metadata_identity_endpoint=True)
    identity.refresh(request)
    report["idToken"] = identity.token
    report["fetchedIdToken"] = id_token.fetch_id_token(request, audience)
    report["verified"] = {
        "claims": verify(identity.token),
        "wrongAudience": refused(lambda: verify(identity.token, "https://someone-else.example.com")),
        "tampered": [refused(lambda: verify(token)) for token in tamper(identity.token)],
    }

    # A service account's key file.
    key = service_account.Credentials.from_service_account_file(key_file, scopes=[SCOPE])
    report["keyFile"] = access(key, request)
    key_identity = service_account.IDTokenCredentials.from_service_account_file(key_file, target_audience=audience)
    key_identity.refresh(request)
    report["keyFileIdToken"] = key_identity.token
    report["keyFileVerified"] = verify(key_identity.token)

    # The account's published certificates check its own signatures.
    certificates = get("/service_accounts/v1/metadata/x509/" + key.service_account_email)
    certificate = certificates[key.signer.key_id]
    message = b"bytes that a client signs itself"
    signature = key.sign_bytes(message)
    report["signature"] = crypt.verify_signature(message, signature, [certificate])
    report["otherSignature"] = crypt.verify_signature(message + b"!", signature, [certificate])
    self_signed = google.auth.jwt.Credentials.from_service_account_file(key_file, audience=audience)
    self_signed.refresh(request)
    report["selfSigned"] = google.auth.jwt.decode(self_signed.token, certs=certificates, audience=audience)

    # Another account, impersonated through the IAM Credentials API.
    impersonated = google.auth.impersonated_credentials.Credentials(
        source_credentials=credentials,
        target_principal=target,
        target_scopes=[SCOPE],
        iam_endpoint_override=f"{emulator}/v1/projects/-/serviceAccounts/{target}:generateAccessToken",
    )
    report["impersonated"] = access(impersonated, request)
    json.dump(report, sys.stdout)


main(*sys.argv[1:])
