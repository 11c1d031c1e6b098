// Gcp-metadata-emulator emulates Google Cloud's metadata server, OAuth 2.0 token endpoint and IAM
// Credentials API on one machine, offline.
package main

import (
	"os"

	"gcp-metadata-emulator/server/cli"
)

func main() { os.Exit(cli.Main()) }
