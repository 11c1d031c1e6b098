package outward_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"gcp-metadata-emulator/server/outward"
	"gcp-metadata-emulator/server/outward/outwardtest"
)

func TestSpared(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"169.254.169.254": true, "169.254.0.1": true, "::ffff:169.254.169.254": true, "fe80::1": true, "fe80::1%lo": true, "ff02::1": true, "224.0.0.1": true,
		"fd20:ce::254": true, "fd00:ec2::254": true, "fd00:ec2::254%lo": true, "100.100.100.200": true, "::ffff:100.100.100.200": true, "168.63.129.16": true,
		"64:ff9b::a9fe:a9fe": true, "64:ff9b:1::a9fe:a9fe": true, "2002:a9fe:a9fe::1": true, "64:ff9b::6464:64c8": true,
		"127.0.0.1": false, "::1": false, "10.0.0.1": false, "169.253.255.255": false, "169.255.0.0": false, "8.8.8.8": false,
		"64:ff9b::808:808": false, "2002:808:808::1": false, "fd00:ec3::254": false, "2001:db8::a9fe:a9fe": false, "::": false,
	} {
		if got := outward.IsSpared(netip.MustParseAddr(text)); got != want {
			t.Errorf("IsSpared(%s) = %t", text, got)
		}
	}
}

func TestIsAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "[fe80::1%lo]:80": true, "example.com:80": false, "127.1:80": false, "127.0.0.1": false, "": false,
	} {
		if got := outward.IsAddress(text); got != want {
			t.Errorf("IsAddress(%q) = %t", text, got)
		}
	}
}

// Whatever resolves to a spared address, no connection to it is attempted. Only the operating system
// answers for a named address, which nobody has here.
func TestDialSpares(t *testing.T) {
	t.Parallel()
	var dialer outward.Dialer
	for _, address := range []string{"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fd00:ec2::254]:80", "[fe80::1%lo]:80", "100.100.100.200:80"} {
		_, err := dialer.DialContext(t.Context(), "tcp", address)
		if spared, ok := errors.AsType[*outward.SparedError](err); !ok || !outward.IsSpared(spared.Address) {
			t.Errorf("%s: %v", address, err)
		}
	}
	names := outwardtest.Dialer(map[string]netip.Addr{"rebound.example.com": netip.MustParseAddr("169.254.169.254")})
	_, err := names.DialContext(t.Context(), "tcp", "rebound.example.com:80")
	if spared, ok := errors.AsType[*outward.SparedError](err); !ok || spared.Address != netip.MustParseAddr("169.254.169.254") {
		t.Errorf("a name that leads to a spared address: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dialer.DialNamed(ended, "tcp", "169.254.169.254:80"); !errors.Is(err, context.Canceled) {
		t.Errorf("named: %v", err)
	}
}

func TestDialReaches(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var dialer outward.Dialer
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){"any": dialer.DialContext, "named": dialer.DialNamed} {
		conn, err := dial(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = conn.Close()
	}
}
