// Package trust writes the files that make programs trust a certificate authority in addition to
// their usual authorities.
//
// Package reach knows the environment variable for each file, and package keys limits the
// authority's names.
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

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/keys/disk"
)

// Password is the password of the trust store, the default of every Java installation. It
// protects no secret.
const Password = "changeit"

// The names of PHP's settings for trusted roots.
const (
	phpSettings = "emulator.ini"
	phpRoots    = `curl.cainfo="`
)

// The modes of world-readable files and folders.
const (
	readableFile   = 0o644
	readableFolder = 0o755
)

// nameSize is the number of bytes of the content's SHA-256 in a folder's name.
const nameSize = 8

// unfinished is the name pattern of files that a killed process has not finished.
const unfinished = ".*"

// Files holds the paths of the files with the authority's certificate. Everybody may read the
// files, because a program may run as another user than its caller.
type Files struct {
	Authority  string // only the authority's certificate, in PEM
	Bundle     string // all roots, in PEM
	TrustStore string // all roots as PKCS #12, for Java, which ignores the constraints of a root, and obeys those of the authority's issuer
	PHP        string // a directory with settings for PHP
}

// Write writes the files into a folder below dir. The folder's name depends on their content, so
// files of another authority stay while programs use them. authority and roots are certificates in
// PEM. Write leaves out everything else in roots, and the certificates of other emulators'
// authorities. It rewrites existing files atomically, because somebody may have changed them.
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
		disk.WriteFile(files.Authority, []byte(authority), readableFile), disk.WriteFile(files.Bundle, bundle, readableFile),
		disk.WriteFile(files.TrustStore, store, readableFile), disk.WriteFile(files.settings(), []byte(settings), readableFile))
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

// settings returns the path of PHP's settings.
func (f Files) settings() string { return filepath.Join(f.PHP, phpSettings) }

// makeFolder makes a world-readable folder under any umask.
func makeFolder(path string) error {
	if err := os.Mkdir(path, readableFolder); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(path, readableFolder)
}

// certificates returns the distinct certificates in text.
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
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) // a buffer returns no errors
	}
	return text.Bytes()
}

// Roots returns the trusted certificates of programs, in PEM. They come from the preferred
// file, or from the system if the file cannot be read, and from the further files. A path may
// also name a directory in OpenSSL's format. The result may be empty.
func Roots(preferred string, further ...string) []byte {
	var roots []byte
	read := map[string]bool{} // the paths are often the same
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

// readRoots reads a file, or all files of a directory named after a certificate's subject: 8
// hexadecimal digits, a dot and a number (https://docs.openssl.org/3.0/man1/openssl-rehash/).
func readRoots(path string) ([]byte, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return input.ReadFile(path)
	}
	var roots []byte
	for _, entry := range entries {
		subject, number, _ := strings.Cut(entry.Name(), ".")
		_, subjectErr := strconv.ParseUint(subject, 16, 32)
		_, numberErr := strconv.ParseUint(number, 10, 32)
		if len(subject) != len("00000000") || subjectErr != nil || numberErr != nil {
			continue
		}
		if content, err := input.ReadFile(filepath.Join(path, entry.Name())); err == nil {
			roots = append(append(roots, content...), '\n')
		}
	}
	if len(roots) == 0 {
		return nil, fs.ErrNotExist
	}
	return roots, nil
}

// usualFiles returns the usual paths of a system's roots.
func usualFiles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",             // SUSE
		"/etc/ssl/cert.pem",                  // macOS, BSD
	}
}

// Holds reports whether programs that trust the roots in file trust authority, a certificate in
// PEM. file is any kind of file from Write, or a list of PHP's directories. An empty file means
// the system's roots.
func Holds(file, authority string) bool {
	if file == "" {
		return holds(Roots(""), authority)
	}
	for _, dir := range filepath.SplitList(file) {
		settings, err := input.ReadFile(filepath.Join(dir, phpSettings))
		if _, bundle, found := strings.Cut(string(settings), phpRoots); err == nil && found {
			file, _, _ = strings.Cut(bundle, `"`)
		}
	}
	content, err := input.ReadFile(file)
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
