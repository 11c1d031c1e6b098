//go:build unix

package server_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world/worldtest"
)

// millionVariable sets the size of the test of growth as a part of the whole, such as "1" or "0.1".
const millionVariable = "GCP_METADATA_EMULATOR_MILLION"

// Nothing grows with the number of different things that an emulator has been asked for: neither its memory
// nor the cost of a request. The signatures of the ID tokens for the many audiences are not computed,
// because the cost of a signature does not depend on the emulator.
func TestMillion(t *testing.T) { // not parallel: it measures the process
	const growth = 12 << 20
	part := 0.001
	if text := os.Getenv(millionVariable); text != "" {
		part = emulatortest.Must[float64](t)(strconv.ParseFloat(text, 64))
	}
	m := newMillion(t)
	m.ask(m.audience(0))
	m.ring.Wait()
	before := liveBytes()
	t.Logf("start: %.1f MiB", mebibytes(before))
	for _, kind := range []struct {
		name    string
		whole   int
		request func(i int) *http.Request
		signs   bool
	}{
		{"audiences of ID tokens", 1_000_000, m.audience, false},
		{"access tokens", 1_000_000, m.accessToken, false},
		{"entries of the journal", 100_000, m.entry, false},
		{"subjects of the token exchange", 100_000, m.subject, true},
		{"accounts created and deleted", 10_000, m.account, false},
	} {
		m.signs.Store(kind.signs)
		count := max(int(float64(kind.whole)*part), 10*batch)
		for i := range kept {
			m.ask(kind.request(numbers/2 + i))
		}
		m.repeat(kind.name, count, func(i int) *http.Request { return kind.request(numbers + i) })
	}
	after := liveBytes()
	runtime.KeepAlive(m)
	t.Logf("end: %.1f MiB, %+.1f MiB since the start", mebibytes(after), mebibytes(after-before))
	if after-before > growth {
		t.Errorf("the memory has grown by %.1f MiB, want at most %.0f MiB", mebibytes(after-before), mebibytes(growth))
	}
}

// million is an emulator without a network.
type million struct {
	*testing.T

	emulator *server.Server
	ring     *keys.Ring
	issuer   *token.Issuer
	signs    *atomic.Bool // signatures are computed
}

func newMillion(t *testing.T) *million {
	t.Helper()
	signs := &atomic.Bool{}
	signs.Store(true) // a certificate needs its signature
	ring := keys.NewRingOf(func() (crypto.Signer, error) {
		key, err := rsa.GenerateKey(rand.Reader, keys.Bits)
		return stamp{key, signs}, err
	}, time.Now)
	return &million{t, server.New(server.Config{
		World: worldtest.Load(t, emulatortest.Fixture(t)), Keys: ring, Clock: clock.New(time.Now), Logger: slog.New(slog.DiscardHandler),
	}), ring, token.NewIssuer(ring, time.Now), signs}
}

// stamp is a key that signs only if it has to.
type stamp struct {
	*rsa.PrivateKey

	signs *atomic.Bool
}

func (s stamp) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if s.signs.Load() {
		return s.PrivateKey.Sign(random, digest, options)
	}
	return make([]byte, keys.Bits/8), nil
}

// home is the base URL of the requests.
const home = "http://127.0.0.1:8254"

func (*million) audience(i int) *http.Request {
	return fromVM(fmt.Sprintf("%sdefault/identity?audience=https://audience-%d.example.com&format=full", emulatortest.AttachedPath, i))
}

func (*million) entry(i int) *http.Request {
	r := fromVM(fmt.Sprintf("/computeMetadata/v1/project/project-id?request=%d", i))
	r.Header.Set("User-Agent", fmt.Sprintf("program/%d", i))
	return r
}

func fromVM(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, home+target, http.NoBody)
	r.Header.Set("Metadata-Flavor", "Google")
	return r
}

func (*million) accessToken(i int) *http.Request {
	r := httptest.NewRequest(http.MethodPost, home+"/v1/projects/-/serviceAccounts/"+emulatortest.Target+":generateAccessToken",
		strings.NewReader(fmt.Sprintf(`{"scope":["https://www.googleapis.com/auth/scope-%d"]}`, i)))
	r.Header.Set("Authorization", "Bearer x")
	return r
}

// subject returns a token exchange for a new subject.
func (m *million) subject(i int) *http.Request {
	const provider = "iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-pool/providers/demo-provider"
	id := emulatortest.Must[token.Token](m.T)(m.issuer.ID(context.Background(), token.Claims{
		Audience: "https://" + provider, Subject: fmt.Sprintf("subject-%d", i),
	}))
	r := httptest.NewRequest(http.MethodPost, home+"/v1/token", strings.NewReader(url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"audience":             {"//" + provider},
		"scope":                {emulatortest.Platform},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token":        {id.Text},
	}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// account returns a request to delete an account, which it has created.
func (m *million) account(i int) *http.Request {
	name := fmt.Sprintf("account-%d", i)
	create := httptest.NewRequest(http.MethodPost, home+emulatortest.AccountsPath, strings.NewReader(fmt.Sprintf(`{"accountId":%q}`, name)))
	create.Header.Set("Authorization", "Bearer x")
	m.ask(create)
	r := httptest.NewRequest(http.MethodDelete, home+emulatortest.AccountsPath+"/"+emulatortest.Email(name), http.NoBody)
	r.Header.Set("Authorization", "Bearer x")
	return r
}

// ask sends a request that must succeed.
func (m *million) ask(r *http.Request) {
	answer := &statusOnly{discard: discard{http.Header{}}}
	m.emulator.ServeHTTP(answer, r)
	if answer.status != 0 && answer.status != http.StatusOK {
		m.Fatalf("%s %s: status %d", r.Method, r.URL, answer.status)
	}
}

const (
	// kept is the largest number of things of a kind that the emulator remembers. Before it remembers this
	// many, a request costs less.
	kept = 1000
	// numbers is a number with as many digits as the numbers after it, so that requests are equally long.
	numbers = 4_000_000
	// batch is the number of requests in a measurement.
	batch = 100
)

// repeat sends many requests of a kind. It compares the cost of the first tenth of the requests with the
// cost of the last. It compares allocations, because other programs change the CPU time.
func (m *million) repeat(name string, count int, request func(i int) *http.Request) {
	m.Helper()
	first, last := costs{}, costs{}
	for i := 0; i < count; i += batch {
		spent := usedBy(m.T, func() {
			for j := range batch {
				m.ask(request(i + j))
			}
		})
		switch {
		case i < count/10:
			first = append(first, spent)
		case i >= count-count/10:
			last = append(last, spent)
		}
	}
	live := liveBytes()
	m.Logf("%d %s: %.1f MiB; per request %s at first, %s at last", count, name, mebibytes(live), first, last)
	if ratio := last.allocations() / first.allocations(); math.Abs(ratio-1) > 0.1 {
		m.Errorf("%s: a request makes %.2f times as many allocations as at first", name, ratio)
	}
	if ratio := last.bytes() / first.bytes(); math.Abs(ratio-1) > 0.1 {
		m.Errorf("%s: a request allocates %.2f times as many bytes as at first", name, ratio)
	}
}

// costs are the costs of batches.
type costs []cost

func (c costs) allocations() float64 {
	return c.perRequest(func(of cost) float64 { return of.allocations })
}

func (c costs) bytes() float64 { return c.perRequest(func(of cost) float64 { return of.bytes }) }

// perRequest returns the mean of all requests.
func (c costs) perRequest(read func(cost) float64) float64 {
	sum := 0.0
	for _, one := range c {
		sum += read(one)
	}
	return sum / float64(len(c)*batch)
}

func (c costs) String() string {
	micros := c.perRequest(func(of cost) float64 { return of.cpu.Seconds() * 1e6 })
	return fmt.Sprintf("%.1f µs of CPU time, %.1f allocations, %.0f bytes", micros, c.allocations(), c.bytes())
}

// liveBytes returns the memory that is in use after a collection, for objects and stacks.
func liveBytes() float64 {
	runtime.GC()
	runtime.GC() // for what finalizers and pools have kept
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return float64(memory.HeapAlloc + memory.StackInuse)
}

func mebibytes(bytes float64) float64 { return bytes / (1 << 20) }
