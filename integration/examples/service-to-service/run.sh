#!/bin/sh
# Three services call each other as they would on Cloud Run: login (Node) may call user-profiles
# (Python), and may not call search (Go). The script needs curl, node, python3 and go.
set -u
cd "$(dirname "$0")" || exit 1
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null; wait; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

PATH=$dir:$PATH
command -v gcp-metadata-emulator >/dev/null || (cd ../../.. && go build -o "$dir" .) || exit 1
search=${SEARCH:-$dir/search}
[ -x "$search" ] || (cd ../.. && go build -o "$dir/search" ./examples/service-to-service/search) || exit 1

# The world: six free ports for the doors and for the services behind them.
set -- $(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
print(*(s.getsockname()[1] for s in sockets))')
LOGIN_URL=http://127.0.0.1:$1 PROFILES_URL=http://127.0.0.1:$2 SEARCH_URL=http://127.0.0.1:$3
export PROFILES_URL SEARCH_URL
sed "s/LOGIN_DOOR/$1/; s/PROFILES_DOOR/$2/; s/SEARCH_DOOR/$3/; s/LOGIN_PORT/$4/; s/PROFILES_PORT/$5/; s/SEARCH_PORT/$6/" world.yaml >"$dir/world.yaml"
gcp-metadata-emulator serve --listen 127.0.0.1:0 --ephemeral --explain --fixture "$dir/world.yaml" --url-file "$dir/url" 2>"$dir/log" &
pids=$!
until [ -s "$dir/url" ]; do
	kill -0 $pids 2>/dev/null || {
		cat "$dir/log" >&2
		exit 1
	}
	sleep 0.1
done
url=$(cat "$dir/url")

# Each service joins the world as its own workload; three terminals or a Procfile do the same.
start() {
	service=$1 own=$2
	shift 2
	OWN_URL=$own gcp-metadata-emulator exec --url "$url" --instance "$service" -- "$@" &
	pids="$! $pids"
}
start login "$LOGIN_URL" node login.js
start user-profiles "$PROFILES_URL" python3 user_profiles.py
start search "$SEARCH_URL" "$search"

failed=0
# expect runs a command, and wants its output to contain a text.
expect() {
	title=$1 text=$2
	shift 2
	said=$("$@" 2>&1)
	case $said in
	*"$text"*) echo "ok: $title" ;;
	*) echo "FAILED: $title: want $text, got: $said" && failed=1 ;;
	esac
}
account() { echo "$1@demo-project.iam.gserviceaccount.com"; }
call() { gcp-metadata-emulator call --url "$url" "$@"; }
# with_token sends a token in the header of a request, and prints the status and the reason.
with_token() { curl -sS -o /dev/null -D - -H "Authorization: Bearer $1" "$2"; }
token() { gcp-metadata-emulator token "$@" --url "$url"; }

caller=$(account caller) login=$(account login)
expect "the caller gets into login, which verifies it" "\"caller\":\"$caller by ${LOGIN_VERIFIER-}" call --as "$caller" "$LOGIN_URL/profiles/ada"
expect "login may call user-profiles, which verifies it" "\\\"caller\\\": \\\"$login by ${PROFILES_VERIFIER-}" call --as "$caller" "$LOGIN_URL/profiles/ada"
expect "login may not call search" '"status":403' call --as "$caller" "$LOGIN_URL/search/ada"
expect "another caller may call search, which verifies it" "$caller by idtoken" call --as "$caller" "$SEARCH_URL/ada"
expect "no token" 403 curl -sS -o /dev/null -w '%{http_code}' "$PROFILES_URL/ada"
expect "a wrong audience" 'and service "user-profiles" expects' with_token "$(token id --account "$login" --audience https://other.example.com)" "$PROFILES_URL/ada"
expect "an access token" 'this is an access token' with_token "$(token access --account "$login")" "$PROFILES_URL/ada"
expect "a wrong audience is 401" "401 Unauthorized" call --as "$login" --audience https://other.example.com "$PROFILES_URL/ada"
expect "an Authorization of the application's own" '"own": "Basic YWRhOg==", "unsigned": true' \
	call --as "$login" -H 'Authorization: Basic YWRhOg==' "$PROFILES_URL/ada"
expect "a call by the service's own name" '"host": "user-profiles-123456789012.us-central1.run.app"' \
	call --as "$login" -H 'Authorization: Basic YWRhOg==' https://user-profiles-123456789012.us-central1.run.app/ada
expect "a task" '"agent": "Google-Cloud-Tasks"' call --as "$caller" --from tasks -d '{"user": "ada"}' "$PROFILES_URL/tasks"
expect "a job of the scheduler" '"agent": "Google-Cloud-Scheduler"' call --as "$caller" --from scheduler "$PROFILES_URL/jobs"
[ $failed = 0 ] && echo "all is as on Cloud Run"
exit $failed
