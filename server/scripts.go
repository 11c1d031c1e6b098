package server

import (
	_ "embed"

	"gcp-metadata-emulator/server/script"
)

// Packed, the scripts have a quarter of their size. TestReadmeScriptsArePacked writes the file.
//
//go:embed scripts.gz
var packedScripts []byte

// Scripts returns the wire scripts with rules, of the routes with any of the prefixes.
func Scripts(prefixes ...string) ([]script.Script, error) {
	scripts, err := script.Unpack(packedScripts)
	return script.Of(scripts, prefixes...), err
}

// MetadataScripts returns the wire scripts of the metadata server, with the rules that they show.
func MetadataScripts() ([]script.Script, error) { return Scripts("mds.") }
