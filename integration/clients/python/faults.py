"""Google's google-auth for Python when the metadata server refuses a token: what it says, and how often it has asked.

Prints both as JSON, by the status of the refusal.
"""

import json
import os
import urllib.request

import google.auth
import google.auth.exceptions
import google.auth.transport.requests

CONTROL = os.environ["GCP_METADATA_EMULATOR_URL"] + "/emulator/v1/"


def control(method, path, message=None):
    body = json.dumps(message).encode() if message else None
    request = urllib.request.Request(CONTROL + path, body, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def attempt(**fault):
    control("POST", "reset")
    credentials, _ = google.auth.default()
    control("POST", "faults", {"route": "mds.token", **fault})
    try:
        credentials.refresh(google.auth.transport.requests.Request())
        said = ""
    except google.auth.exceptions.GoogleAuthError as error:
        said = str(error)
    return {"message": said, "requests": control("GET", "requests?route=mds.token")["count"]}


print(json.dumps({
    "404": attempt(status=404),
    "403": attempt(status=403),
    "500": attempt(status=500, times=2),
    "503": attempt(status=503, times=2),
}))
