"""Calls a service with an ID token of the metadata server, and then with each token in the
arguments. The service verifies each token. On Google Cloud the same program works."""
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import google.auth.exceptions
from google.auth.transport.requests import Request
from google.oauth2 import id_token

AUDIENCE = "https://service.example.com"


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        token = self.headers["Authorization"].removeprefix("Bearer ")
        try:
            # verify_token does not check the issuer, verify_oauth2_token does.
            status, text = 200, id_token.verify_oauth2_token(token, Request(), AUDIENCE)["email"]
        except (ValueError, google.auth.exceptions.GoogleAuthError) as problem:
            status, text = 401, str(problem).splitlines()[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


def call(url, token):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(request) as response:
            print(response.status, response.read().decode())
    except urllib.error.HTTPError as refusal:
        print(refusal.code, refusal.read().decode())


service = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=service.serve_forever, daemon=True).start()
for token in [id_token.fetch_id_token(Request(), AUDIENCE), *sys.argv[1:]]:
    call("http://127.0.0.1:%d" % service.server_port, token)
