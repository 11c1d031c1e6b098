package credentials

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"gcp-metadata-emulator/signer"
)

// ErrKind reports a file that is not a service account's key file, although it may have other credentials.
var ErrKind = errors.New("not a key file of a service account")

// ReadKeyFile reads a key file of a service account, and its private key. The error wraps ErrKind if the
// file is of another type, and never has a part of the key.
func ReadKeyFile(content []byte) (KeyFile, signer.Key, error) {
	var file KeyFile
	if err := json.Unmarshal(content, &file); err != nil {
		return KeyFile{}, signer.Key{}, fmt.Errorf("%w: it is not a JSON object with the members of one", ErrKind)
	}
	if file.Type != "service_account" {
		return KeyFile{}, signer.Key{}, fmt.Errorf("%w: its type is %q", ErrKind, file.Type)
	}
	bad := cmp.Or(unusable("client_email", file.ClientEmail), unusable("client_id", file.ClientID),
		unusable("project_id", file.ProjectID), unusable("private_key_id", file.PrivateKeyID))
	if bad != "" {
		return KeyFile{}, signer.Key{}, fmt.Errorf("its %q is missing, or has letters that it cannot have", bad)
	}
	block, _ := pem.Decode([]byte(file.PrivateKey))
	if block == nil {
		return KeyFile{}, signer.Key{}, errors.New(`its "private_key" is not PEM`)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return KeyFile{}, signer.Key{}, errors.New(`its "private_key" is not an RSA key in the form of PKCS #8`)
	}
	return file, signer.Private(file.PrivateKeyID, private), nil
}

// unusable returns the name of a member without a value, or with letters that have a meaning in a request.
func unusable(name, value string) string {
	if value == "" || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@.:_-") != "" {
		return name
	}
	return ""
}
