package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/trust"
)

// metadataTLSFlags holds the flags of the metadata server with TLS, for commands that can take over
// the addresses of Google's servers.
type metadataTLSFlags struct {
	MetadataTLSDir string `name:"metadata-tls-dir" type:"path" placeholder:"DIR" help:"While the emulator runs at Google's addresses, keep the files in DIR by which clients use the metadata server with TLS: root.crt and client.key. A VM has them in /run/google-mds-mtls."`
}

// without refuses the flag in a command without a takeover.
func (f metadataTLSFlags) without(takeover string) error {
	if f.MetadataTLSDir != "" {
		return &usageError{fmt.Errorf("--metadata-tls-dir needs %s: without it, no metadata server uses TLS", takeover)}
	}
	return nil
}

// lay writes the files for clients of the metadata server with TLS, if there is a directory for them.
func (t *takeover) lay(ctx context.Context, e *emulator) error {
	if t.dir == "" {
		return nil
	}
	roots, key := filepath.Join(t.dir, filepath.Base(reach.MetadataRoots)), filepath.Join(t.dir, filepath.Base(reach.MetadataClient))
	if isOthers(ctx, roots) || isMissing(roots) && !isMissing(key) {
		return &hintError{
			message: fmt.Sprintf("the files in %q belong to another metadata server", t.dir),
			hint:    "run the command through scripts/namespace -- COMMAND, which leaves them alone, or choose another --metadata-tls-dir",
		}
	}
	authority, err := e.keys.Authority()
	if err != nil {
		return err
	}
	if isMissing(t.dir) {
		t.undo = append(t.undo, func() { _ = os.Remove(t.dir) }) // it stays if somebody else uses it
	}
	t.undo = append(t.undo, func() { _, _ = os.Remove(key), os.Remove(roots) }) // the next run replaces files that stay
	const readable, passable = 0o644, 0o755                                     // the command may run programs as other users
	err = errors.Join(os.MkdirAll(t.dir, passable), replaceFile(roots, authority.Certificate(), readable), replaceFile(key, string(t.client.File()), readable))
	if err != nil {
		return &hintError{
			message: fmt.Sprintf("cannot write the files of the metadata server with TLS in %q: %v", t.dir, rootCause(err)),
			hint:    "choose a directory that this user can write to, or run the command through scripts/namespace -- COMMAND", cause: err,
		}
	}
	return nil
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

// isOthers reports whether a file exists and is not the certificate of an emulator's authority.
func isOthers(ctx context.Context, roots string) bool {
	content, err := input.Read(ctx, roots)
	if err != nil {
		return !isMissing(roots)
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return true
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	return err != nil || !keys.IsAuthority(cert)
}

// hasMetadataTLS reports whether this machine's files for the metadata server with TLS lead to an
// emulator with this authority.
func hasMetadataTLS(authority string) bool {
	return trust.Holds(reach.MetadataRoots, authority) && !isMissing(reach.MetadataClient)
}
