package wire_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/wire"
)

// FuzzForeign checks that a page which is not foreign has an address or a name of this machine.
func FuzzForeign(f *testing.F) {
	for _, seed := range []string{
		"https://attacker.example", "null", "http://127.0.0.1:8254", "http://localhost:3000/", "http://[::1]", "http://localhost.attacker.example",
		"http://localhost@attacker.example", "http://127.0.0.1.attacker.example", "//localhost", "http://[localhost]:80:90", "http:localhost", "http://EXAMPLE.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, page string) {
		request := httptest.NewRequest(http.MethodPost, "http://emulator.test/", http.NoBody)
		request.Header.Set("Origin", page)
		if page == "" || wire.IsForeign(request) {
			return
		}
		parsed, err := url.Parse(page)
		if err != nil {
			t.Fatalf("%q is not foreign, and is not a URL: %v", page, err)
		}
		host := strings.ToLower(strings.TrimSuffix(parsed.Hostname(), "."))
		address, err := netip.ParseAddr(host)
		isHere := err == nil && address.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
		if !isHere && page != "http://emulator.test" && parsed.Scheme+"://"+parsed.Host != "http://emulator.test" {
			t.Errorf("%q is not foreign", page)
		}
	})
}
