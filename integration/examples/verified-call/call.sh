#!/bin/sh
# Gets an ID token of the metadata server, and lets Google's tokeninfo verify it, and then each
# token in the arguments. On Google Cloud the same script works.
set -eu
audience=https://service.example.com

# serve prints the caller's e-mail address if a token is valid.
serve() {
	if ! claims=$(curl -s --fail "https://oauth2.googleapis.com/tokeninfo?id_token=$1"); then
		echo "401 tokeninfo refuses the token"
	elif ! printf %s "$claims" | grep -q "\"aud\": *\"$audience\""; then # tokeninfo does not know the service
		echo "401 the token is for another service"
	else
		echo "200 $(printf %s "$claims" | sed -n 's/.*"email": *"\([^"]*\)".*/\1/p')"
	fi
}

own=$(curl -sS --fail -H 'Metadata-Flavor: Google' \
	"http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity?audience=$audience&format=full")
for token in "$own" "$@"; do serve "$token"; done
