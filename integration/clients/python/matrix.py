"""Google's google-auth for Python, unmodified, as it is used where the servers are Google's.

Prints what it got as JSON; what the values have to be is written in the tests that run it.

    python3 matrix.py KEY_FILE AUDIENCE TARGET WANTED...
"""

import json
import sys

import google.auth
import google.auth.impersonated_credentials
import google.auth.transport.requests
from google.oauth2 import id_token, service_account

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]

key_file, audience, target = sys.argv[1:4]
request = google.auth.transport.requests.Request()


def refreshed(credentials):
    credentials.refresh(request)
    return credentials.token


def impersonate():
    source, _ = google.auth.default(scopes=SCOPES)
    return refreshed(google.auth.impersonated_credentials.Credentials(source, target, SCOPES))


means = {
    "metadata": lambda: google.auth.default()[1],
    "access": lambda: refreshed(google.auth.default(scopes=SCOPES)[0]),
    "identity": lambda: id_token.fetch_id_token(request, audience),
    "key": lambda: refreshed(service_account.Credentials.from_service_account_file(key_file, scopes=SCOPES)),
    "impersonate": impersonate,
    "verify": lambda: id_token.verify_oauth2_token(id_token.fetch_id_token(request, audience), request, audience)["sub"],
}

print(json.dumps({name: means[name]() for name in sys.argv[4:]}))
