package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// The cost of a request does not depend on the size of the world. The test counts allocations,
// because other work of the machine does not change them.
func TestCostDoesNotGrow(t *testing.T) {
	ring := keys.NewRing("", time.Now)
	requests := map[string]string{ // by name, "HOST PATH"
		"a value":             "127.0.0.1:8254 /computeMetadata/v1/instance/name",
		"an attribute":        "127.0.0.1:8254 /computeMetadata/v1/instance/attributes/key-0",
		"a directory":         "127.0.0.1:8254 /computeMetadata/v1/project/?recursive=true",
		"an instance by Host": "vm-0.localhost:8254 /computeMetadata/v1/instance/name",
		"an access token":     "127.0.0.1:8254 /computeMetadata/v1/instance/service-accounts/default/token",
		"an ID token":         "127.0.0.1:8254 /computeMetadata/v1/instance/service-accounts/default/identity?audience=a&format=full",
		"the keys":            "127.0.0.1:8254 /oauth2/v3/certs",
		"a description":       "127.0.0.1:8254 /tokeninfo?access_token=" + newBearer(t, ring),
		"a caller":            "127.0.0.1:8254 /v1/projects/-/serviceAccounts/account-0@demo-project.iam.gserviceaccount.com/allowedLocations?access_token=" + newBearer(t, ring),
		"a permission":        "127.0.0.1:8254 /v1/projects/demo-project/serviceAccounts/account-0@demo-project.iam.gserviceaccount.com?access_token=" + newBearer(t, ring),
		"an account's keys":   "127.0.0.1:8254 /robot/v1/metadata/jwk/account-0@demo-project.iam.gserviceaccount.com",
	}
	smallest := newSized(ring, 2) // with a single instance, the server would ignore the Host
	for _, size := range []int{100, 10_000} {
		large := newSized(ring, size)
		for name, request := range requests {
			if of, in := allocations(t, ring, smallest, request), allocations(t, ring, large, request); in > of*1.1+1 { // under the race detector, pools forget
				t.Errorf("%s: %.0f allocations in a world of %d, %.0f in a world of 2", name, in, size, of)
			}
		}
	}
}

// newBearer returns an access token of the account that every world has.
func newBearer(t *testing.T, ring *keys.Ring) string {
	t.Helper()
	account, ok := newSizedWorld(1).Account("account-0@demo-project.iam.gserviceaccount.com")
	if !ok {
		t.Fatal("the world has no account")
	}
	return emulatortest.Must[token.Token](t)(token.NewIssuer(ring, time.Now).Access(t.Context(), token.ForAccount(account, []string{emulatortest.Platform}), time.Hour)).Text
}

// newSized returns a strict emulator of a world with n instances, accounts and policies.
func newSized(ring *keys.Ring, n int) *server.Server {
	return server.New(server.Config{
		World: newSizedWorld(n), Keys: ring, Clock: clock.New(time.Now), Logger: slog.New(slog.DiscardHandler), IAM: guard.Enforce,
	})
}

// newSizedWorld returns a world with n instances and accounts. The first instance has n attributes.
// Each account may manage itself.
func newSizedWorld(n int) *world.World {
	fixture := fixtures.Default()
	attributes := map[string]any{}
	account, instance := fixture.ServiceAccounts[0], fixture.Instances[0]
	attached := instance.ServiceAccounts[0]
	instance.Metadata = map[string]any{"instance": map[string]any{"attributes": attributes}}
	fixture.ServiceAccounts, fixture.Instances, fixture.Policies = nil, nil, nil
	for i := range n {
		account.UniqueID, account.Email = "", fmt.Sprintf("account-%d@demo-project.iam.gserviceaccount.com", i)
		attached.Email = account.Email
		instance.Name, instance.ServiceAccounts = fmt.Sprintf("vm-%d", i), []fixtures.AttachedAccount{attached}
		attributes[fmt.Sprintf("key-%d", i)] = "value"
		fixture.ServiceAccounts, fixture.Instances = append(fixture.ServiceAccounts, account), append(fixture.Instances, instance)
		instance.Metadata = nil
		fixture.Policies = append(fixture.Policies, fixtures.Policy{
			Resource: "serviceAccounts/" + account.Email,
			Bindings: []fixtures.Binding{{Role: "roles/iam.serviceAccountAdmin", Members: []string{"serviceAccount:" + account.Email}}},
		})
	}
	return world.New(fixture)
}

// fewestAllocations returns the allocations of a call: the lowest of several counts, because other
// goroutines may make keys meanwhile.
func fewestAllocations(call func()) float64 {
	const runs, counts = 100, 10
	fewest := math.Inf(1)
	for range counts {
		fewest = min(fewest, testing.AllocsPerRun(runs, call))
	}
	return fewest
}

// allocations counts the allocations of a request, after earlier requests have filled the caches.
func allocations(t *testing.T, ring *keys.Ring, emulator *server.Server, target string) float64 {
	t.Helper()
	host, path, _ := strings.Cut(target, " ")
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+host+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
	answer := &statusOnly{discard: discard{http.Header{}}}
	emulator.ServeHTTP(answer, request)
	ring.Wait() // for the keys that these requests started
	count := fewestAllocations(func() {
		clear(answer.header)
		emulator.ServeHTTP(answer, request)
	})
	if answer.status != 0 && answer.status != http.StatusOK {
		t.Fatalf("%s: status %d", target, answer.status)
	}
	return count
}

// statusOnly is a ResponseWriter that keeps a status other than 200.
type statusOnly struct {
	discard

	status int
}

func (s *statusOnly) WriteHeader(status int) { s.status = status }
