#!/bin/sh
# Writes a service account's key file, then replaces itself with the command that uses it.
#
#   with-key-file.sh EMULATOR ACCOUNT FILE COMMAND [ARG...]
set -eu
emulator=$1 account=$2 file=$3
shift 3
"$emulator" credentials service-account --account "$account" --output "$file"
exec "$@"
