package server_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iamcredentials"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/publishedkeys"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/tokeninfo"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)               {}

// WriteString is here because the ResponseWriter of net/http has it too.
func (d discard) WriteString(s string) (int, error) { return len(s), nil }

// operation is a request that programs repeat, with the handler of its surface. The benchmark in scripts
// has operations of the same names.
type operation struct {
	name    string
	request *http.Request
	handle  wire.Handler
}

// operations returns an emulator without net/http, and the operations on which its speed is measured.
func operations(t testing.TB) (http.Handler, []operation) {
	t.Helper()
	ring, now, current := keys.NewRing("", time.Now), clock.New(time.Now), world.New(fixtures.Default())
	worlds, issuer := store.New(current), token.NewIssuer(ring, time.Now)
	callers := guard.New(guard.Config{Worlds: worlds, Issuer: issuer})
	metadata, published := mds.New(callers, now, workloads.Chooser{}), publishedkeys.New(worlds, ring, time.Now)
	credentials := iamcredentials.New(worlds, ring, issuer, callers, time.Now)
	read := func(r *http.Request) (wire.Response, error) { return metadata.Answer(r, metadata.Find(r)) }
	account := current.DefaultInstance().ServiceAccounts[0].Account
	bearer := emulatortest.Must[token.Token](t)(issuer.Access(t.Context(), token.ForAccount(account, []string{emulatortest.Platform}), time.Hour)).Text
	ask := func(target string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8254"+target, http.NoBody)
		r.RequestURI = target
		r.Header.Set("Metadata-Flavor", "Google")
		return r
	}
	location := ask("/v1/projects/-/serviceAccounts/" + emulatortest.Target + "/allowedLocations")
	location.Header.Set("Authorization", "Bearer "+bearer)
	location.SetPathValue("account", emulatortest.Target)
	emulator := server.New(server.Config{World: current, Keys: ring, Clock: now, Logger: slog.New(slog.DiscardHandler)})
	all := []operation{
		{"metadata value", ask("/computeMetadata/v1/project/project-id"), read},
		{"recursive root", ask("/computeMetadata/v1/?recursive=true"), read},
		{"recursive service account", ask(emulatortest.AttachedPath + "default/?recursive=true"), read},
		{"access token, cached", ask(emulatortest.AttachedPath + "default/token"), read},
		{"ID token, cached", ask(emulatortest.AttachedPath + "default/identity?audience=https://bench.example.com&format=full"), read},
		{"JWKS", ask("/oauth2/v3/certs"), published.JWKS},
		{"certificates", ask("/oauth2/v1/certs"), published.Certificates},
		{"tokeninfo", ask("/tokeninfo?access_token=" + bearer), tokeninfo.New(worlds, issuer, time.Now).Describe},
		{"verified bearer", location, credentials.AllowedLocations},
	}
	for _, o := range all { // fills the caches
		answer := &statusOnly{discard: discard{http.Header{}}}
		emulator.ServeHTTP(answer, o.request)
		if _, err := o.handle(o.request); err != nil || answer.status != 0 && answer.status != http.StatusOK {
			t.Fatalf("%s: status %d, %v", o.name, answer.status, err)
		}
	}
	ring.Wait()
	return emulator, all
}

// Around the handler of a surface, the emulator chooses the surface by the host, finds the route, notes
// the exchange, counts it and writes the header. All of this costs few allocations.
func TestAllocationsAroundHandlers(t *testing.T) {
	const most = 10
	const ofHTTP = 1 // the empty header, which net/http makes
	handler, all := operations(t)
	for _, o := range all {
		whole := fewestAllocations(func() { handler.ServeHTTP(discard{http.Header{}}, o.request) }) - ofHTTP
		alone := fewestAllocations(func() { _, _ = o.handle(o.request) })
		t.Logf("%s: %v allocations, of which the handler makes %v", o.name, whole, alone)
		if whole-alone > most+ofRace {
			t.Errorf("%s: %v allocations around the handler, want at most %d", o.name, whole-alone, most)
		}
	}
}

// BenchmarkHandler measures the emulator without net/http.
func BenchmarkHandler(b *testing.B) {
	handler, all := operations(b)
	for _, o := range all {
		b.Run(o.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discard{http.Header{}}, o.request)
			}
		})
	}
}
