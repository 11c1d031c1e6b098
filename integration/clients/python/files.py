"""Google's google-auth for Python, unmodified, with credential files that lead to the emulator.

Prints what it got as JSON; what the values have to be is written in the tests that run it.

    python3 files.py FOLDER
"""

import glob
import json
import os
import sys

import google.auth
import google.auth.downscoped
import google.auth.exceptions
import google.auth.transport.requests

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def token(file):
    """The token that a file leads to, or why there is none."""
    try:
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = file
        credentials, _ = google.auth.default(scopes=[SCOPE])
        credentials.refresh(google.auth.transport.requests.Request())
        return {"value": credentials.token, "expiry": credentials.expiry.isoformat() + "Z", "error": ""}
    except google.auth.exceptions.GoogleAuthError as error:
        return {"value": "", "expiry": "0001-01-01T00:00:00Z", "error": f"{type(error).__name__}: {error}"}


def downscoped():
    """The metadata server's token, narrowed to one bucket."""
    emulator = os.environ["GCP_METADATA_EMULATOR_URL"]
    inner = google.auth.transport.requests.Request()

    def request(url, **options):  # the library knows the host of the service by itself
        return inner(url=url.replace("https://sts.googleapis.com", emulator), **options)

    del os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
    source, _ = google.auth.default(scopes=[SCOPE])
    rule = google.auth.downscoped.AccessBoundaryRule(
        available_resource="//storage.googleapis.com/projects/_/buckets/some-bucket",
        available_permissions=["inRole:roles/storage.objectViewer"],
    )
    boundary = google.auth.downscoped.CredentialAccessBoundary(rules=[rule])
    credentials = google.auth.downscoped.Credentials(source_credentials=source, credential_access_boundary=boundary)
    credentials.refresh(request)
    return {"value": credentials.token, "expiry": credentials.expiry.isoformat() + "Z", "error": ""}


def main(folder):
    report = {os.path.basename(file)[: -len(".json")]: token(file) for file in sorted(glob.glob(folder + "/*.json"))}
    report["downscoped"] = downscoped()
    json.dump(report, sys.stdout)


main(*sys.argv[1:])
