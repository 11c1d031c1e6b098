"""A Python test: one emulator for the session, as new for each test."""

import json, os, pathlib, subprocess, time, urllib.request

import google.auth, google.auth.transport.requests
import pytest


@pytest.fixture(scope="session")
def session(tmp_path_factory):
    url = pathlib.Path(tmp_path_factory.mktemp("emulator"), "url")
    command = ["gcp-metadata-emulator", "serve", "--listen", "127.0.0.1:0", "--ephemeral", "--url-file", url]
    with subprocess.Popen(command) as emulator:
        while not url.exists():
            assert emulator.poll() is None
            time.sleep(0.05)
        environment = ["gcp-metadata-emulator", "env", "--shell", "json", "--url", url.read_text().strip()]
        os.environ.update(json.loads(subprocess.check_output(environment))["set"])
        yield
        emulator.terminate()


@pytest.fixture
def control(session):
    def call(method, path, body=None):
        url = os.environ["GCP_METADATA_EMULATOR_URL"] + "/emulator/v1/" + path
        data = body and json.dumps(body).encode()
        return json.load(urllib.request.urlopen(urllib.request.Request(url, data, method=method)))
    yield call
    call("POST", "reset")


def test_token_is_asked_for_again(control):
    control("POST", "faults", {"route": "mds.token", "status": 503, "times": 2})
    credentials, project = google.auth.default()
    credentials.refresh(google.auth.transport.requests.Request())
    assert project == "demo-project" and credentials.token.startswith("ya29.")
    control("GET", "requests?route=mds.token&expect=3")
