package door

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/outward"
	"gcp-metadata-emulator/server/outward/outwardtest"
)

// A door does not connect to a metadata server because a name leads there, and says so. A fixture may
// name its address.
func TestUpstreamsAreNoMetadataServers(t *testing.T) {
	t.Parallel()
	dial := dialUpstream(outwardtest.Dialer(map[string]netip.Addr{"app.example.com": netip.MustParseAddr("169.254.169.254")}))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial(ended, "tcp", "169.254.169.254:80"); !errors.Is(err, context.Canceled) {
		t.Errorf("an address: %v", err)
	}
	_, err := dial(t.Context(), "tcp", "app.example.com:80")
	if _, ok := errors.AsType[*outward.SparedError](err); !ok {
		t.Fatalf("a name: %v", err)
	}
	const want = `does not connect to http://app.example.com, the upstream of service "app": it leads to 169.254.169.254, `
	if why := breakdown(err, `service "app"`, &url.URL{Scheme: "http", Host: "app.example.com"}); !strings.Contains(why, want) {
		t.Errorf("%q does not say %q", why, want)
	}
}
