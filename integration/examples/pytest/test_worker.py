"""A Python test: one emulator for the session, as new for each test."""

import json, os, subprocess, time, urllib.request
import google.auth, google.auth.transport.requests, pytest


@pytest.fixture(scope="session")
def session(tmp_path_factory):
    file = tmp_path_factory.mktemp("emulator") / "url"
    with subprocess.Popen(["gcp-metadata-emulator", "serve", "--listen", "127.0.0.1:0", "--ephemeral", "--url-file", file]) as emulator:
        try:
            while not file.exists():
                assert emulator.poll() is None
                time.sleep(0.05)
            url = file.read_text().strip()
            env = json.loads(subprocess.check_output(["gcp-metadata-emulator", "env", "--shell", "json", "--url", url]))
            for name in env["unset"]:
                os.environ.pop(name, None)
            os.environ.update(env["set"])
            yield url
        finally:
            emulator.terminate()


@pytest.fixture
def control(session):
    def call(method, path, body=None):
        request = urllib.request.Request(f"{session}/emulator/v1/{path}", body and json.dumps(body).encode(), method=method)
        return json.load(urllib.request.urlopen(request))
    yield call
    call("POST", "reset")


def test_token_is_asked_for_again(control):
    control("POST", "faults", {"route": "mds.token", "status": 503, "times": 2})
    credentials, project = google.auth.default()
    credentials.refresh(google.auth.transport.requests.Request())
    assert project == "demo-project" and credentials.token.startswith("ya29.")
    control("GET", "requests?route=mds.token&expect=3")
