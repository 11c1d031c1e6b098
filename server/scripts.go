package server

import (
	"embed"
	"fmt"
	"io/fs"

	"gcp-metadata-emulator/server/script"
)

//go:embed testdata/wire/mds.*.txtar
var metadataScripts embed.FS

// MetadataScripts returns the wire scripts of the metadata server, with the rules that they show.
func MetadataScripts() ([]script.Script, error) {
	files, err := fs.Sub(metadataScripts, "testdata/wire")
	if err != nil {
		return nil, fmt.Errorf("the scripts of this build: %w", err)
	}
	return script.Read(files, "mds.*.txtar")
}
