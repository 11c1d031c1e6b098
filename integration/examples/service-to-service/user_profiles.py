"""The service user-profiles verifies its callers' tokens once more, behind the door."""
import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EMULATOR, OWN_URL = os.environ["GCP_METADATA_EMULATOR_URL"], os.environ["OWN_URL"]

try:
    import google.auth.transport.requests
    import google.oauth2.id_token

    def verify(token, audience):
        request = google.auth.transport.requests.Request()
        claims = google.oauth2.id_token.verify_token(token, request, audience=audience, certs_url=EMULATOR + "/oauth2/v1/certs")
        return claims["email"] + " by google-auth"

except ImportError:  # without the library, Google's tokeninfo says what is in a token

    def verify(token, audience):
        with urllib.request.urlopen(EMULATOR + "/tokeninfo?id_token=" + token) as answer:
            claims = json.load(answer)
        if claims["aud"] != audience:
            raise ValueError("the token is for " + claims["aud"])
        return claims["email"] + " by tokeninfo"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        agent, own, serverless = (self.headers.get(name, "") for name in ("User-Agent", "Authorization", "X-Serverless-Authorization"))
        said = {"agent": agent, "host": self.headers["Host"], "proto": self.headers["X-Forwarded-Proto"]}
        if serverless:  # Cloud Run has checked this token, and has removed its signature
            said["own"], said["unsigned"] = own, serverless.endswith(".SIGNATURE_REMOVED_BY_GOOGLE")
        else:
            audience = OWN_URL + (self.path if agent.startswith("Google-Cloud-") else "")
            try:
                said["caller"] = verify(own.removeprefix("Bearer "), audience)
            except (OSError, ValueError, KeyError) as problem:
                self.send_error(500, str(problem))
                return
        body = json.dumps(said).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
