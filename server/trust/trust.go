// Package trust writes the files by which programs come to trust a certificate authority
// besides the ones that they trust already.
//
// Which variable names which file is for package reach; what the authority may certify, for
// package keys.
package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"gcp-metadata-emulator/keys"
)

// Password is that of the trust store, the one that every Java installation uses. It protects
// no secret.
const Password = "changeit"

// How PHP's settings say which roots to trust.
const (
	phpSettings = "emulator.ini"
	phpRoots    = `curl.cainfo="`
)

// The modes of what everybody may read.
const (
	readableFile   = 0o644
	readableFolder = 0o755
)

// nameSize is how many bytes of the content's sum the name of a folder is made of.
const nameSize = 8

// unfinished is the pattern of files that are being written.
const unfinished = ".new-*"

// Files are where to find the authority's certificate. Everybody may read them: a program may
// run as another user than the one who started it.
type Files struct {
	Authority  string // the certificate alone, in PEM
	Bundle     string // with the other roots, in PEM
	TrustStore string // the same as PKCS #12, for Java
	PHP        string // a directory with settings for PHP
}

// Write puts the files into a directory of their own below dir, which their content names, so
// that those of another authority stay as they are while programs use them. The authority and
// the roots are certificates in PEM; what else is among the roots, is no certificate, or is
// another emulator's authority, is left out. Files that are there already are written again,
// each at once, because anybody may have done anything to them.
func Write(dir string, authority string, roots []byte) (Files, error) {
	all := slices.DeleteFunc(certificates(roots), keys.IsAuthority)
	all = append(all, certificates([]byte(authority))...)
	bundle := encode(all)
	sum := sha256.Sum256(bundle)
	folder := filepath.Join(dir, hex.EncodeToString(sum[:nameSize]))
	files := filesIn(folder)
	store, err := pkcs12.Modern.EncodeTrustStore(all, Password)
	if err != nil {
		return Files{}, fmt.Errorf("encode a trust store: %w", err)
	}
	settings := fmt.Sprintf(phpRoots+"%[1]s\"\nopenssl.cafile=\"%[1]s\"\n", files.Bundle)
	err = errors.Join(os.MkdirAll(dir, readableFolder), makeFolder(folder), makeFolder(files.PHP),
		replace(files.Authority, []byte(authority)), replace(files.Bundle, bundle),
		replace(files.TrustStore, store), replace(files.settings(), []byte(settings)))
	if err != nil {
		return Files{}, fmt.Errorf("write certificates below %q: %w", dir, err)
	}
	removeOthers(dir, folder)
	return files, nil
}

func filesIn(folder string) Files {
	return Files{
		Authority:  filepath.Join(folder, "ca.pem"),
		Bundle:     filepath.Join(folder, "bundle.pem"),
		TrustStore: filepath.Join(folder, "truststore.p12"),
		PHP:        filepath.Join(folder, "php"),
	}
}

// settings is PHP's file.
func (f Files) settings() string { return filepath.Join(f.PHP, phpSettings) }

// makeFolder makes a folder that everybody may read, whatever the process's umask is.
func makeFolder(path string) error {
	if err := os.Mkdir(path, readableFolder); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(path, readableFolder)
}

// replace gives a file a content at once: another process may be reading it, or writing the same.
func replace(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(readableFile), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the other error is the one to tell
	}
	return err
}

// certificates are those in a text, each once.
func certificates(text []byte) []*x509.Certificate {
	var list []*x509.Certificate
	seen := map[[sha256.Size]byte]bool{}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return list
		}
		sum := sha256.Sum256(block.Bytes)
		if seen[sum] {
			continue
		}
		seen[sum] = true
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			list = append(list, cert)
		}
	}
}

func encode(list []*x509.Certificate) []byte {
	var text bytes.Buffer
	for _, cert := range list {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) // a buffer takes everything
	}
	return text.Bytes()
}

// Roots are the certificates that programs trust already, in PEM: those of the preferred file
// or, where it cannot be read, of the system, and those of further files. Each may be a directory
// too, as OpenSSL reads one. There may be none.
func Roots(preferred string, further ...string) []byte {
	var roots []byte
	read := map[string]bool{} // often it is the same file
	for _, path := range append([]string{preferred}, usualFiles()...) {
		if content, err := readRoots(path); err == nil {
			roots, read[path] = content, true
			break
		}
	}
	for _, path := range further {
		if read[path] {
			continue
		}
		if content, err := readRoots(path); err == nil {
			roots, read[path] = append(append(roots, '\n'), content...), true
		}
	}
	return roots
}

// readRoots reads a file, or every file of a directory that is named for the subject of its
// certificate: 8 hexadecimal digits, a dot and a number (https://docs.openssl.org/3.0/man1/openssl-rehash/).
func readRoots(path string) ([]byte, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return os.ReadFile(path)
	}
	var roots []byte
	for _, entry := range entries {
		subject, number, _ := strings.Cut(entry.Name(), ".")
		_, subjectErr := strconv.ParseUint(subject, 16, 32)
		_, numberErr := strconv.ParseUint(number, 10, 32)
		if len(subject) != len("00000000") || subjectErr != nil || numberErr != nil {
			continue
		}
		if content, err := os.ReadFile(filepath.Join(path, entry.Name())); err == nil {
			roots = append(append(roots, content...), '\n')
		}
	}
	if len(roots) == 0 {
		return nil, fs.ErrNotExist
	}
	return roots, nil
}

// usualFiles are where systems keep their roots.
func usualFiles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",             // SUSE
		"/etc/ssl/cert.pem",                  // macOS, BSD
	}
}

// Holds tells whether programs that trust what a file says trust an authority, which is given in
// PEM. The file is one of the kinds that Write writes, a list of PHP's directories among them;
// where none is named, it is the system's.
func Holds(file, authority string) bool {
	if file == "" {
		return holds(Roots(""), authority)
	}
	for _, dir := range filepath.SplitList(file) {
		settings, err := os.ReadFile(filepath.Join(dir, phpSettings))
		if _, bundle, found := strings.Cut(string(settings), phpRoots); err == nil && found {
			file, _, _ = strings.Cut(bundle, `"`)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	if store, err := pkcs12.DecodeTrustStore(content, Password); err == nil {
		content = encode(store)
	}
	return holds(content, authority)
}

func holds(roots []byte, authority string) bool {
	all := certificates(roots)
	for _, wanted := range certificates([]byte(authority)) {
		return slices.ContainsFunc(all, wanted.Equal)
	}
	return false
}
