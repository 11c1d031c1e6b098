//go:build cluster

package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"gcp-metadata-emulator/fixtures/input"
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
	password, err := f.password(ctx)
	if err != nil {
		return nil, func() {}, err
	}
	opened, err := etcd.Open(ctx, etcd.Config{
		Endpoints: endpoints, Prefix: prefix, TLS: secure, User: f.StoreUser, Password: password, Timeout: f.StoreTimeout, Logger: logger,
	})
	if err != nil {
		return nil, func() {}, &hintError{
			message: fmt.Sprintf("cannot use the store %q: %v", f.Store, err),
			hint:    "see that etcd runs at this address, that it wants TLS and a password as --store-ca, --store-cert and --store-user say, and that the user may read and write below the prefix",
		}
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
			return nil, fmt.Errorf("cannot read --store-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, &hintError{message: fmt.Sprintf("%q has no certificate", f.StoreCA), hint: "give a file in PEM, with lines that say BEGIN CERTIFICATE"}
		}
	}
	if f.StoreCert != "" {
		pair, err := tls.LoadX509KeyPair(f.StoreCert, f.StoreKey)
		if err != nil {
			return nil, fmt.Errorf("cannot use --store-cert with --store-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (f storeFlags) password(ctx context.Context) (string, error) {
	if f.StorePasswordFile == "" {
		return "", nil
	}
	text, err := input.ReadNamed(ctx, f.StorePasswordFile)
	if err != nil {
		return "", fmt.Errorf("cannot read --store-password-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
