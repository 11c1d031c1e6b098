"""Runs commands of gcloud that end at servers other than those of most commands. Prints the names of those that worked as JSON.

    python3 commands.py KEY_FILE AUDIENCE TARGET WANTED...
"""

import json
import re
import subprocess
import sys
import urllib.request


def gcloud(*arguments):
    return subprocess.run(["gcloud", "--quiet", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def login(*arguments):
    """Signs a user in: the address that gcloud prints is opened elsewhere, and the code that is shown there copied."""
    pipe = subprocess.PIPE
    with subprocess.Popen(["gcloud", *arguments, "--no-launch-browser"], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        shown = ""
        for line in process.stdout:
            shown += line
            address = re.search(r"https?://\S+", line)
            if address and "client_id=" in line:
                with urllib.request.urlopen(address.group()) as page:
                    code = re.search(r"id=code>([^<]*)<", page.read().decode()).group(1)
                process.stdin.write(code + "\n")
                process.stdin.close()
                break
        shown += process.stdout.read()
        if process.wait() != 0:
            raise SystemExit(shown)


def revoke():
    login("auth", "login")
    gcloud("auth", "revoke")


def default_revoke():
    login("auth", "application-default", "login")
    gcloud("auth", "application-default", "revoke")


def default_token():
    login("auth", "application-default", "login")
    return gcloud("auth", "application-default", "print-access-token")


def default_impersonate():
    login("auth", "application-default", "login", "--impersonate-service-account=" + sys.argv[3])
    return gcloud("auth", "application-default", "print-access-token")


commands = {"revoke": revoke, "default-token": default_token, "default-revoke": default_revoke, "default-impersonate": default_impersonate}
print(json.dumps({name: commands[name]() or "done" for name in sys.argv[4:]}))
