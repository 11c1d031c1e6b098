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

// The program carries the methods of Google's APIs as methods.txt has them.
func TestReadmeMethodsArePacked(t *testing.T) {
	const file = "unplayed/methods.gz"
	want := emulatortest.Must[[]byte](t)(os.ReadFile("unplayed/methods.txt"))
	if flag.Lookup("update").Value.String() == "true" {
		var packed bytes.Buffer
		writer := emulatortest.Must[*gzip.Writer](t)(gzip.NewWriterLevel(&packed, gzip.BestCompression))
		_, err := writer.Write(want)
		if err != nil || writer.Close() != nil || os.WriteFile(file, packed.Bytes(), 0o644) != nil { //nolint:gosec // as git writes it
			t.Fatal("the methods cannot be packed")
		}
		return
	}
	reader := emulatortest.Must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(emulatortest.Must[[]byte](t)(os.ReadFile(file)))))
	if got := emulatortest.Must[[]byte](t)(io.ReadAll(reader)); !bytes.Equal(got, want) {
		t.Errorf("%s is not of unplayed/methods.txt; go test -run %s -update writes it", file, t.Name())
	}
}
