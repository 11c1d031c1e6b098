package recordstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress returns an address at which nothing listens, for a program that cannot choose one itself. No
// system gives its port to a program that asks for any port, or for a connection: Linux begins with 32768,
// and others with 49152. So the address also stays free while the program is started again.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const first, count = 20_000, 12_000
	for {
		address := fmt.Sprint("127.0.0.1:", first+rand.N(count))
		listener, err := net.Listen("tcp", address) //nolint:noctx // it is closed at once
		if err != nil {
			continue
		}
		_ = listener.Close()
		return address
	}
}
