"""Google's google-auth for Python, unmodified, where it asks hosts that it has compiled in.

Prints what it got as JSON; what the values have to be is written in the tests that run it.

    python3 compiled_in.py KEY_FILE AUDIENCE TARGET
"""

import json
import sys

import google.auth.impersonated_credentials
import google.auth.transport.requests
from google.oauth2 import id_token, service_account

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def main(key_file, audience, target):
    request = google.auth.transport.requests.Request()
    source = service_account.Credentials.from_service_account_file(key_file, scopes=[SCOPE])
    source.refresh(request)
    identity = service_account.IDTokenCredentials.from_service_account_file(key_file, target_audience=audience)
    identity.refresh(request)
    # With the certificates of www.googleapis.com.
    claims = id_token.verify_oauth2_token(identity.token, request, audience)
    # From iamcredentials.googleapis.com.
    impersonated = google.auth.impersonated_credentials.Credentials(source, target, [SCOPE])
    impersonated.refresh(request)
    return {
        "accessToken": source.token,
        "idToken": identity.token,
        "email": claims["email"],
        "impersonatedAccessToken": impersonated.token,
    }


print(json.dumps(main(*sys.argv[1:])))
