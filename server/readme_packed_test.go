package server_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// The program carries the methods of Google's APIs and the description of the control plane as their texts have them.
func TestReadmeTextsArePacked(t *testing.T) {
	for file, of := range map[string]string{
		"unplayed/methods.gz": "unplayed/methods.txt", "control/openapi.gz": "control/openapi.yaml",
	} {
		want := emulatortest.Must[[]byte](t)(os.ReadFile(of))
		if flag.Lookup("update").Value.String() == "true" {
			var packed bytes.Buffer
			writer := emulatortest.Must[*gzip.Writer](t)(gzip.NewWriterLevel(&packed, gzip.BestCompression))
			_, err := writer.Write(want)
			if err != nil || writer.Close() != nil || os.WriteFile(file, packed.Bytes(), 0o644) != nil { //nolint:gosec // as git writes it
				t.Fatalf("%s cannot be packed", of)
			}
			continue
		}
		reader := emulatortest.Must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(emulatortest.Must[[]byte](t)(os.ReadFile(file)))))
		if got := emulatortest.Must[[]byte](t)(io.ReadAll(reader)); !bytes.Equal(got, want) {
			t.Errorf("%s is not of %s; go test -run %s -update writes it", file, of, t.Name())
		}
	}
}
