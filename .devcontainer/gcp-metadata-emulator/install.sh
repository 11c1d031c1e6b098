#!/bin/sh
# Installs gcp-metadata-emulator into a devcontainer: from the release's archive in the option
# "url", or the binary beside this script. Devcontainers run it as root, with the options as variables.
set -eu
target=${PREFIX:-/usr/local}/bin
binary=$(dirname "$0")/gcp-metadata-emulator

fail() {
	echo "gcp-metadata-emulator: $1" >&2
	echo "hint: $2" >&2
	exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "${URL:-}" ]; then
	[ -n "${SHA256:-}" ] || fail "the archive \"$URL\" has no checksum" "set the option \"sha256\" to its line in the release's SHA256SUMS"
	command -v curl >/dev/null || fail "the image has no curl to fetch \"$URL\"" "use an image with curl, or put the binary beside install.sh"
	curl -fsSL -o "$work/archive.tar.gz" "$URL"
	echo "$SHA256  $work/archive.tar.gz" | sha256sum -c - >/dev/null || fail "the archive \"$URL\" has another checksum" "compare the option \"sha256\" with the release's SHA256SUMS"
	tar -xzf "$work/archive.tar.gz" -C "$work"
	binary=$work/gcp-metadata-emulator
fi
[ -f "$binary" ] || fail "there is no binary \"$binary\"" "set the option \"url\", or run: CGO_ENABLED=0 GOOS=linux go build -o .devcontainer/gcp-metadata-emulator/ ."
mkdir -p "$target"
install -m 0755 "$binary" "$target/gcp-metadata-emulator"
"$target/gcp-metadata-emulator" version
