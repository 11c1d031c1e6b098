import google.auth
import pytest
from google.auth.transport.requests import Request

AUDIENCE = "https://service.example.com"


def test_faults_clock_and_journal(gcp):
    gcp.fail("mds.token", status=503, times=1)
    credentials, project = google.auth.default()
    credentials.refresh(Request())
    assert project == "demo-project" and credentials.token.startswith("ya29.")
    assert [request["status"] for request in gcp.requests("route=mds.token")] == [503, 200]
    gcp.set_time("2031-02-03T04:05:06Z")
    gcp.advance("1h")
    assert gcp.control("GET", "clock")["now"] == "2031-02-03T05:05:06Z"


def test_each_test_is_as_new(gcp):
    assert gcp.requests("route=mds.token") == []
    assert not gcp.control("GET", "clock")["now"].startswith("2031-02-03")


def test_bad_token(gcp):
    good = gcp.control("POST", "tokens:verify", {"token": gcp.mint(audience=AUDIENCE), "audience": AUDIENCE})
    bad = gcp.control("POST", "tokens:verify", {"token": gcp.mint(audience=AUDIENCE, defect="expired"), "audience": AUDIENCE})
    assert good["valid"] and not bad["valid"] and "expired" in bad["reason"]
    with pytest.raises(AssertionError, match="no-such-defect"):
        gcp.mint(audience=AUDIENCE, defect="no-such-defect")
