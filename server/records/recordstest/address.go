package recordstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress returns an address at which nothing listens, for a program that cannot choose one itself. No
// system gives its port to a program that asks for any port, or for a connection: Linux begins with 32768,
// and others with 49152. Until the test ends, no other test gets this address, so that the program can also
// be started again: the test keeps the UDP port of the same number, which no program here uses.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const first, count = 20_000, 12_000
	for range count {
		address := fmt.Sprint("127.0.0.1:", first+rand.N(count))
		listener, err := net.Listen("tcp", address) //nolint:noctx // it is closed at once
		if err != nil {
			continue
		}
		_ = listener.Close()
		kept, err := net.ListenPacket("udp", address) //nolint:noctx // it gets no packet
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = kept.Close() })
		return address
	}
	t.Fatalf("no address among %d could be kept", count)
	return ""
}
