"""Google's google-auth for Python, unmodified, with the refresh token of a user.

Prints what it got as JSON; what the values have to be is written in the tests that run it.

    python3 users.py CLIENT USER
"""

import http.client
import json
import os
import sys
import urllib.parse

import google.auth.exceptions
import google.auth.transport.requests
import google.oauth2.credentials

PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
REDIRECT = "http://localhost:8085/"


def consent(emulator, client, user):
    """A refresh token, for which nobody has to click."""
    query = urllib.parse.urlencode(
        {
            "client_id": client,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": "openid email " + PLATFORM,
            "access_type": "offline",
            "login_hint": user,
        }
    )
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(emulator).netloc)
    connection.request("GET", "/o/oauth2/auth?" + query)
    answer = connection.getresponse()
    answer.read()
    back = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.getheader("Location")).query)
    form = {"grant_type": "authorization_code", "client_id": client, "code": back["code"][0], "redirect_uri": REDIRECT}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/token", urllib.parse.urlencode(form), headers)
    return json.loads(connection.getresponse().read())["refresh_token"]


def main(client, user):
    emulator = os.environ["GCP_METADATA_EMULATOR_URL"]
    request = google.auth.transport.requests.Request()
    refresh_token = consent(emulator, client, user)

    def credentials(scopes=None):
        return google.oauth2.credentials.Credentials(
            None,
            refresh_token=refresh_token,
            token_uri=emulator + "/token",
            client_id=client,
            client_secret="any",
            scopes=scopes,
        )

    everything, narrowed, wider = credentials(), credentials([PLATFORM]), credentials([PLATFORM, PLATFORM + ".more"])
    everything.refresh(request)
    narrowed.refresh(request)
    refusal = "none"
    try:
        wider.refresh(request)
    except google.auth.exceptions.RefreshError as error:
        refusal = str(error)
    print(
        json.dumps(
            {
                "value": everything.token,
                "idToken": everything.id_token,
                "grantedScopes": narrowed.granted_scopes,
                "narrowed": narrowed.token,
                "refusal": refusal,
            }
        )
    )


main(*sys.argv[1:])
