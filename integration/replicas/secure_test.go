package replicas_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/records/recordstest"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// authority issues certificates for a test.
type authority struct {
	file        string // of its own certificate
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir, name string) authority {
	t.Helper()
	a := authority{file: filepath.Join(dir, name+".pem"), key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(made); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", made)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate for 127.0.0.1 and its key into files, and returns their names.
func (a authority) issue(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	own := newKey(t)
	made, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = a.file+"."+name, a.file+"."+name+".key"
	writePEM(t, certificate, "CERTIFICATE", made)
	writePEM(t, key, "PRIVATE KEY", encoded)
	return certificate, key
}

// guarded is a server of etcd that wants a certificate and a user.
type guarded struct {
	*recordstest.Etcd

	tls   *tls.Config
	root  string            // the password of the user "root"; empty: nobody has to be a user yet
	flags map[string]string // of an emulator that may use it
}

// do calls a function with a client that may do everything.
func (g *guarded) do(t *testing.T, call func(context.Context, *clientv3.Client) error) {
	t.Helper()
	config := clientv3.Config{Endpoints: []string{"https://" + g.Address}, TLS: g.tls}
	if g.root != "" {
		config.Username, config.Password = "root", g.root
	}
	client, err := clientv3.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := call(t.Context(), client); err != nil {
		t.Fatal(err)
	}
}

// newGuarded starts the server. The user "emulators" may use the prefix of the test, and the user "guest"
// may read it.
func newGuarded(t *testing.T) *guarded {
	t.Helper()
	dir := t.TempDir()
	ca, password := newAuthority(t, dir, "ca"), filepath.Join(dir, "password")
	serverCert, serverKey := ca.issue(t, "server")
	cert, key := ca.issue(t, "client")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(password, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &guarded{
		Etcd: recordstest.StartSecureEtcd(t, recordstest.TLS{Cert: serverCert, Key: serverKey, ClientCA: ca.file}),
		tls:  &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}},
		flags: map[string]string{
			"--store-ca": ca.file, "--store-cert": cert, "--store-key": key, "--store-user": "emulators", "--store-password-file": password,
		},
	}
	g.tls.RootCAs.AddCert(ca.certificate)
	for user, may := range map[string]clientv3.PermissionType{"root": readWrite, "emulators": readWrite, "guest": clientv3.PermissionType(clientv3.PermRead)} {
		g.do(t, func(ctx context.Context, admin *clientv3.Client) error {
			_, err := admin.UserAdd(ctx, user, "first")
			_, err2 := admin.RoleAdd(ctx, user)
			_, err3 := admin.UserGrantRole(ctx, user, user)
			_, err4 := admin.RoleGrantPermission(ctx, user, t.Name()+"/", clientv3.GetPrefixRangeEnd(t.Name()+"/"), may)
			return errors.Join(err, err2, err3, err4)
		})
	}
	g.do(t, func(ctx context.Context, admin *clientv3.Client) error { _, err := admin.AuthEnable(ctx); return err })
	g.root = "first"
	return g
}

const readWrite = clientv3.PermissionType(clientv3.PermReadWrite)

// with returns the flags, some of them changed. An empty value leaves a flag out.
func (g *guarded) with(changed map[string]string) []string {
	var all []string
	for name, value := range g.flags {
		if other, ok := changed[name]; ok {
			value = other
		}
		if value != "" {
			all = append(all, name, value)
		}
	}
	return all
}

// Replicas use a server that wants TLS, a certificate and a user. An emulator that may not use it says why.
func TestSecureStore(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	a, b := newReplica(t, "a", g.Address, g.with(nil)...), newReplica(t, "b", g.Address, g.with(nil)...)
	if status, text := a.set("told", "1"); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, text)
	}
	until(t, "the edit is elsewhere", func() bool { return b.attribute("told") == "1" })

	dir := t.TempDir()
	other := newAuthority(t, dir, "other")
	strange, strangeKey := other.issue(t, "client")
	wrong := filepath.Join(dir, "password")
	if err := os.WriteFile(wrong, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := recordstest.StartEtcd(t)
	for name, test := range map[string]struct {
		address, prefix string
		changed         map[string]string
		want            []string
	}{
		"another authority": {
			changed: map[string]string{"--store-ca": other.file},
			want:    []string{`cannot trust the server "` + g.Address, "unknown authority", "hint: name the file", "--store-ca"},
		},
		"no certificate": {
			changed: map[string]string{"--store-cert": "", "--store-key": ""},
			want:    []string{`the server "` + g.Address + `" has ended the connection`, "certificate", "hint: give a certificate", "--store-cert"},
		},
		"a certificate of another authority": {
			changed: map[string]string{"--store-cert": strange, "--store-key": strangeKey},
			want:    []string{`the server "` + g.Address + `" has ended the connection`, "hint: give a certificate", "--trusted-ca-file"},
		},
		"no TLS": {
			changed: map[string]string{"--store-ca": "", "--store-cert": "", "--store-key": ""},
			want:    []string{`"` + g.Address + `" does not answer as etcd does without TLS`, "hint: if etcd uses TLS there", "--store-ca"},
		},
		"TLS where there is none": {
			address: plain.Address, want: []string{`"` + plain.Address + `" does not use TLS as etcd does`, "hint: leave out --store-ca"},
		},
		"nobody listens": {
			address: "127.0.0.1:1", want: []string{`cannot connect to "127.0.0.1:1"`, "refused", "hint: see that etcd runs at this address"},
		},
		"another password": {
			changed: map[string]string{"--store-password-file": wrong},
			want:    []string{`etcd does not know the user "emulators", or not with this password`, "hint: compare --store-user"},
		},
		"an unknown user": {
			changed: map[string]string{"--store-user": "nobody"}, want: []string{`etcd does not know the user "nobody"`, "hint: compare --store-user"},
		},
		"no user": {
			changed: map[string]string{"--store-user": "", "--store-password-file": ""},
			want:    []string{"etcd only lets users that it knows read and write below", "hint: name one of them with --store-user"},
		},
		"another prefix": {
			prefix: "elsewhere", want: []string{`the user "emulators" read and write everything below "elsewhere/"`, "hint: grant it", "--prefix elsewhere/"},
		},
		"a user that may only read": {
			changed: map[string]string{"--store-user": "guest"}, prefix: t.Name() + "/new",
			want: []string{`the user "guest" read and write everything below "` + t.Name() + `/new/"`, "hint: grant it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, prefix := g.Address, "TestSecureStore"
			if test.address != "" {
				address = test.address
			}
			if test.prefix != "" {
				prefix = test.prefix
			}
			arguments := append([]string{"serve", "--ephemeral", "--listen", "127.0.0.1:0", "--store", "etcd://" + address + "/" + prefix}, g.with(test.changed)...)
			command := exec.CommandContext(t.Context(), emulator, arguments...)
			var said bytes.Buffer
			command.Stderr, command.Env = &said, []string{"HOME=" + t.TempDir()}
			if err := command.Run(); command.ProcessState.ExitCode() != 1 {
				t.Errorf("the emulator ends with %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(said.String(), want) {
					t.Errorf("the emulator says\n%swithout %q", said.String(), want)
				}
			}
		})
	}
}

// The server forgets the tokens of its clients, and the password of their user changes: replicas go on with
// the new content of the password's file.
func TestPasswordChanges(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	a := newReplica(t, "a", g.Address, g.with(nil)...)
	b := newReplica(t, "b", g.Address, g.with(nil)...)
	g.Kill()
	g.Start(t)
	until(t, "an edit succeeds with a new token", func() bool { status, _ := a.set("told", "1"); return status == http.StatusOK })

	g.do(t, func(ctx context.Context, admin *clientv3.Client) error {
		_, err := admin.UserChangePassword(ctx, "emulators", "second")
		return err
	})
	until(t, "an edit is refused because of the password", func() bool {
		status, text := a.set("told", "2")
		return status == http.StatusServiceUnavailable && strings.Contains(text, `etcd does not know the user \"emulators\"`) && strings.Contains(text, "hint: compare --store-user")
	})
	if err := os.WriteFile(g.flags["--store-password-file"], []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "an edit succeeds with the new password", func() bool { status, _ := a.set("told", "3"); return status == http.StatusOK })
	until(t, "the edit is elsewhere", func() bool { return b.attribute("told") == "3" })

	prefix := t.Name() + "/"
	end := clientv3.GetPrefixRangeEnd(prefix)
	g.do(t, func(ctx context.Context, admin *clientv3.Client) error {
		_, err := admin.RoleRevokePermission(ctx, "emulators", prefix, end)
		return err
	})
	until(t, "an edit is refused because of missing rights", func() bool {
		status, text := b.set("told", "4")
		return status == http.StatusServiceUnavailable && strings.Contains(text, "hint: grant it to a role of the user")
	})
	b.call(t, http.MethodGet, identity+"without-rights", "")
	until(t, "the replica is not ready because of missing rights", func() bool {
		status, text := b.try(http.MethodGet, "/emulator/v1/readyz", "")
		return status == http.StatusServiceUnavailable && strings.Contains(text, `etcd does not let the user \"emulators\" read`)
	})
	g.do(t, func(ctx context.Context, admin *clientv3.Client) error {
		_, err := admin.RoleGrantPermission(ctx, "emulators", prefix, end, readWrite)
		return err
	})
	until(t, "an edit succeeds with the rights", func() bool { status, _ := b.set("told", "5"); return status == http.StatusOK })
	until(t, "the edit is elsewhere", func() bool { return a.attribute("told") == "5" })
}
