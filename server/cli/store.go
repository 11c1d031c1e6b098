//go:build cluster

package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/store/etcd"
)

// open connects to the store, and joins the replicas. leave ends both.
func (f storeFlags) open(ctx context.Context, logger *slog.Logger) (joined joining, leave func(), err error) {
	endpoints, prefix, err := etcd.Parse(f.Store)
	if err != nil {
		return nil, func() {}, &usageError{fmt.Errorf("--store: %w", err)}
	}
	secure, err := f.tls(ctx)
	if err != nil {
		return nil, func() {}, err
	}
	config := etcd.Config{Endpoints: endpoints, Prefix: prefix, TLS: secure, User: f.StoreUser, Timeout: f.StoreTimeout, Logger: logger}
	if f.StoreUser != "" {
		config.Password = f.password
	}
	opened, err := etcd.Open(ctx, config)
	if lost, ok := errors.AsType[*records.UnreachableError](err); ok {
		return nil, func() {}, &hintError{message: fmt.Sprintf("cannot use the store %q: %v", f.Store, lost.Err), hint: lost.Hint()}
	}
	if err != nil {
		return nil, func() {}, err
	}
	host, _ := os.Hostname() // without it, the replica has a shorter name
	return replica.New(replica.Config{Host: host, Store: opened, Timeout: f.StoreTimeout, Grace: f.StoreGrace, Logger: logger}), opened.Close, nil
}

// tls returns how to use TLS, or nil for plain text.
func (f storeFlags) tls(ctx context.Context) (*tls.Config, error) {
	if f.StoreCA == "" && f.StoreCert == "" {
		return nil, nil //nolint:nilnil // nil is how etcd's client and tls.Config's users say plain text
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.StoreCA != "" {
		text, err := input.ReadNamed(ctx, f.StoreCA)
		if err != nil {
			return nil, fmt.Errorf("cannot read --store-ca %q: %w", f.StoreCA, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, &hintError{message: fmt.Sprintf("%q has no certificate", f.StoreCA), hint: "give a file in PEM, with lines that say BEGIN CERTIFICATE"}
		}
	}
	if f.StoreCert != "" {
		if _, err := f.certificate(nil); err != nil {
			return nil, err
		}
		config.GetClientCertificate = f.certificate // it is renewed in its files
	}
	return config, nil
}

// certificate returns the certificate that identifies this program.
func (f storeFlags) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.StoreCert, f.StoreKey)
	if err != nil {
		return nil, fmt.Errorf("cannot use --store-cert with --store-key: %w", err)
	}
	return &pair, nil
}

// password returns the password of the user at present.
func (f storeFlags) password(ctx context.Context) (string, error) {
	text, err := input.ReadNamed(ctx, f.StorePasswordFile)
	if err != nil {
		return "", fmt.Errorf("cannot read --store-password-file %q: %w", f.StorePasswordFile, err)
	}
	password := strings.TrimSpace(string(text))
	if password == "" {
		return "", &hintError{message: fmt.Sprintf("%q has no password", f.StorePasswordFile), hint: "write the password of --store-user into the file"}
	}
	return password, nil
}
