"""Lets a user sign in with gcloud, as somebody does on a machine without a browser: the address that it prints is opened
elsewhere, and the code that is shown there copied. Prints what gcloud has afterwards as JSON.

    python3 login.py
"""

import json
import re
import subprocess
import urllib.request


def gcloud(*arguments):
    return subprocess.run(["gcloud", *arguments], check=True, capture_output=True, text=True).stdout


def login():
    command = ["gcloud", "auth", "login", "--no-launch-browser"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True) as process:
        shown = []
        for line in process.stderr:
            shown.append(line)
            address = re.search(r"http://\S+", line)
            if address:
                with urllib.request.urlopen(address.group()) as page:
                    code = re.search(r"id=code>([^<]*)<", page.read().decode()).group(1)
                process.stdin.write(code + "\n")
                process.stdin.close()
                break
        shown.append(process.stderr.read())
        if process.wait() != 0:
            raise SystemExit("".join(shown))


login()
print(
    json.dumps(
        {
            "accounts": json.loads(gcloud("auth", "list", "--format=json")),
            "accessToken": gcloud("auth", "print-access-token").strip(),
            "identityToken": gcloud("auth", "print-identity-token").strip(),
        }
    )
)
