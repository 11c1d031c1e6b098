"""Fixtures of pytest for an emulator of Google's metadata server: `gcp` is as new for each test.

Put this file beside your tests, and into conftest.py: pytest_plugins = ["gcp_metadata_emulator"]
Set GCP_METADATA_EMULATOR_URL to join an emulator that is running."""

import json, os, subprocess, time, urllib.error, urllib.request
import pytest


class Emulator:
    def __init__(self, url):
        self.url = url

    def control(self, method, path, body=None):
        """Calls the control plane, and returns its JSON. A refusal is an AssertionError with its text."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}/emulator/v1/{path}", data, method=method)) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise AssertionError(refusal.read().decode()) from None

    def environment(self, reach="env"):
        """The variables that lead programs here, and those to unset: {"set": {...}, "unset": [...]}."""
        return json.loads(subprocess.check_output(["gcp-metadata-emulator", "env", "--shell", "json", "--url", self.url, "--reach", reach]))

    def set_time(self, now):
        """Sets the clock to a time in RFC 3339, and stops it."""
        return self.control("PUT", "clock", {"now": now, "frozen": True})

    def advance(self, duration):
        return self.control("POST", "clock:advance", {"duration": duration})

    def fail(self, route, **fault):
        return self.control("POST", "faults", {"route": route, **fault})

    def mint(self, kind="id", **wanted):
        """Returns a token, with defect="expired" or another one if wanted."""
        return self.control("POST", "tokens", {"kind": kind, **wanted})["token"]

    def requests(self, query=""):
        """Returns the journal, for example of "route=mds.token"."""
        return self.control("GET", "requests?" + query)["requests"]


@pytest.fixture(scope="session")
def gcp_session(tmp_path_factory):
    if running := os.environ.get("GCP_METADATA_EMULATOR_URL"):
        yield Emulator(running)
        return
    file = tmp_path_factory.mktemp("emulator") / "url"
    with subprocess.Popen(["gcp-metadata-emulator", "serve", "--listen", "127.0.0.1:0", "--ephemeral", "--url-file", file]) as process:
        try:
            while not file.exists():
                assert process.poll() is None, "the emulator does not start"
                time.sleep(0.05)
            yield Emulator(file.read_text().strip())
        finally:
            process.terminate()


@pytest.fixture
def gcp(gcp_session, monkeypatch):
    environment = gcp_session.environment()
    for name in environment["unset"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment["set"].items():
        monkeypatch.setenv(name, value)
    gcp_session.control("POST", "reset")
    yield gcp_session
    gcp_session.control("POST", "reset")
