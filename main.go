// Gcp-metadata-emulator plays Google Cloud's metadata server, its OAuth 2.0 token endpoint
// and its IAM Credentials API on one machine, offline.
package main

import (
	"os"

	"gcp-metadata-emulator/server/cli"
)

func main() { os.Exit(cli.Main()) }
