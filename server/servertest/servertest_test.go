package servertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
)

// No test may leave a goroutine running, not even one that generates a key.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	compute  = "123456789012-compute@developer.gserviceaccount.com"
	worker   = "worker@demo-project.iam.gserviceaccount.com"
	root     = "http://metadata.google.internal/computeMetadata/v1/"
	identity = root + "instance/service-accounts/default/identity?audience=https://service.example.com"
)

// patience limits a wait that would otherwise have no end. It is far longer than any step takes on a
// busy machine.
const patience = 5 * time.Minute

// get requests a resource as a metadata client does.
func get(t testing.TB, client *http.Client, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func TestHundredInParallel(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			emu := servertest.New(t)
			value := strings.Repeat("x", i+1)
			emu.SetMetadata("instance/attributes/mine", value)
			if status, body := get(t, emu.Client(), root+"instance/attributes/mine"); status != http.StatusOK || body != value {
				t.Errorf("emulator %d answers %d %q", i, status, body)
			}
			if status, body := get(t, emu.Client(), identity); status != http.StatusOK || strings.Count(body, ".") != 2 {
				t.Errorf("emulator %d answers %d %q", i, status, body)
			}
		})
	}
	all.Wait()
}

func TestSetenv(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/of/the/developer.json")
	emu := servertest.New(t, servertest.YAML("instances: [{name: demo-vm}, {name: twin}]"))
	t.Run("within", func(t *testing.T) {
		emu.Setenv(t)
		if got := "http://" + os.Getenv("GCE_METADATA_HOST"); got != emu.URL {
			t.Errorf("the metadata server is %q, want %q", got, emu.URL)
		}
		if value, isSet := os.LookupEnv("GOOGLE_APPLICATION_CREDENTIALS"); isSet {
			t.Errorf("the developer's credentials are left: %q", value)
		}
		twin := emu.InstanceNamed("twin")
		twin.Setenv(t)
		if got := "http://" + os.Getenv("GCE_METADATA_HOST"); got != twin.URL || got == emu.URL {
			t.Errorf("the twin's metadata server is %q, want %q", got, twin.URL)
		}
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", emu.CredentialsFile(t, "service-account", worker))
		if content, err := os.ReadFile(emu.CredentialsFile(t, "service-account", "")); err != nil || !strings.Contains(string(content), compute) {
			t.Errorf("the file for no account in particular is not the default one's: %v\n%s", err, content)
		}
		emu.Setenv(t)
		if os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") == "" {
			t.Error("credentials that lead to the emulator are taken away")
		}
	})
	if os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") != "/of/the/developer.json" || os.Getenv("GCE_METADATA_HOST") != "" {
		t.Error("the environment stays as the subtest has left it")
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.YAML("instances: [{name: demo-vm}, {name: twin}]"))
	twin := emu.InstanceNamed("twin")
	if again := emu.InstanceNamed("twin"); again != twin {
		t.Error("an instance gets another address each time")
	}
	twin.SetMetadata("instance/tags", []string{"web"})
	emu.SetMetadata("instance/attributes/number", "1")
	for url, want := range map[string]string{
		twin.URL + "/computeMetadata/v1/instance/name": "twin",
		twin.URL + "/computeMetadata/v1/instance/tags": `["web"]`,
		emu.URL + "/computeMetadata/v1/instance/tags":  `[]`,
	} {
		if _, body := get(t, emu.Client(), url); body != want {
			t.Errorf("%s: %q, want %q", url, body, want)
		}
	}
	emu.DeleteMetadata("instance/attributes/number")
	if status, _ := get(t, emu.Client(), root+"instance/attributes/number"); status != http.StatusNotFound {
		t.Errorf("an attribute that was deleted: status %d", status)
	}
}

func TestFixture(t *testing.T) {
	t.Parallel()
	f := fixtures.Default()
	f.Project.ID = "other"
	emu := servertest.New(t, servertest.Strict(), servertest.Fixture(f), servertest.OwnKeys())
	if _, body := get(t, emu.Client(), root+"project/project-id"); body != "other" {
		t.Errorf("the project is %q", body)
	}
	if status, _ := get(t, emu.Client(), "https://www.googleapis.com/oauth2/v3/certs"); status != http.StatusOK {
		t.Errorf("keys of its own: status %d", status)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	emu.Freeze()
	before := emu.Now()
	emu.Advance(time.Hour)
	if got := emu.Now().Sub(before); got != time.Hour {
		t.Errorf("an hour is %v", got)
	}
	emu.Reset()
	if got := time.Since(emu.Now()); got.Abs() > time.Hour/2 {
		t.Errorf("after a reset the clock is %v late", got)
	}
}

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	emu, other := servertest.New(t), servertest.New(t)
	kid := func(emu *servertest.Emulator) string {
		_, token := get(t, emu.Client(), identity)
		header, _, _ := strings.Cut(token, ".")
		return header
	}
	before, others := kid(emu), kid(other)
	emu.RotateKeys()
	emu.Advance(time.Hour) // tokens are cached
	if kid(emu) == before {
		t.Error("the same key signs after a rotation")
	}
	if kid(other) != others {
		t.Error("another emulator's keys are rotated as well")
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	const token = root + "instance/service-accounts/default/token"
	failing := emu.Fail("mds.token", servertest.Status(http.StatusServiceUnavailable), servertest.Times(2), servertest.Account(compute))
	spared := emu.Fail("mds.token", servertest.Status(http.StatusTeapot), servertest.Audience("https://nobody"), servertest.Path("/nowhere"))
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusServiceUnavailable, http.StatusOK} {
		if status, _ := get(t, emu.Client(), token); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	if failing.Hits() != 2 || spared.Hits() != 0 {
		t.Errorf("%d and %d hits, want 2 and none", failing.Hits(), spared.Hits())
	}
	if got := emu.Requests("mds.token"); len(got) != 3 || got[2].Status != http.StatusOK || got[2].Account != compute {
		t.Errorf("the journal has %+v", got)
	}
	failing.Remove()
	if failing.Hits() != 2 {
		t.Errorf("%d hits when it was removed, want 2 as before", failing.Hits())
	}

	emu.Fail("mds.token", servertest.Body(map[string]int{"n": 1}), servertest.After(1), servertest.Every(2), servertest.For(time.Hour))
	for _, want := range []string{"access_token", "access_token", `{"n":1}`} {
		if _, body := get(t, emu.Client(), token); !strings.Contains(body, want) {
			t.Errorf("answer is %s, want %s", body, want)
		}
	}
	emu.Reset()
	emu.Fail("mds.*", servertest.Malformed(), servertest.WithoutHeader("Metadata-Flavor"), servertest.WithHeader("X-Other", "a"), servertest.Delay(time.Millisecond), servertest.Probability(1, 0))
	if _, body := get(t, emu.Client(), token); json.Valid([]byte(body)) {
		t.Errorf("a malformed answer is %s", body)
	}
	emu.Reset()
	emu.Fail("*", servertest.Outage(fault.Boot))
	if _, err := emu.Client().Get(root); err == nil { //nolint:bodyclose // the request fails
		t.Error("a machine that boots has a metadata server")
	}
	emu.Reset()
	emu.Fail("*", servertest.HangUp(fault.BeforeAny))
	if _, err := emu.Client().Get(root); err == nil { //nolint:bodyclose // the request fails
		t.Error("a server that hangs up answers")
	}
}

func TestAwaitWaiter(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	woken := make(chan string)
	go func() {
		_, body := get(t, emu.Client(), root+"instance/attributes/?recursive=true&wait_for_change=true")
		woken <- body
	}()
	emu.AwaitWaiter(t.Context(), "instance/attributes/")
	emu.SetMetadata("instance/attributes/k", "v")
	if got := <-woken; got != `{"k":"v"}` {
		t.Errorf("a waiter is told %q", got)
	}
}

// refusing is a testing.TB that records the failure instead of ending the test.
type refusing struct {
	testing.TB

	said string
}

func (r *refusing) Helper() {}

func (r *refusing) Fatal(arguments ...any) { r.Fatalf("%v", arguments...) }

func (r *refusing) Fatalf(format string, arguments ...any) {
	r.said = strings.TrimSpace(fmt.Sprintf(format, arguments...))
	panic(r)
}

// A mistake fails the test with the error text of the control plane.
func TestMistakesFailTheTest(t *testing.T) {
	t.Parallel()
	for want, mistake := range map[string]func(emu *servertest.Emulator){
		`servertest: set metadata "instance/attributes/n": "instance/attributes/n": the value of an attribute must be a string`: func(emu *servertest.Emulator) {
			emu.SetMetadata("instance/attributes/n", 1)
		},
		`servertest: fail "mds.tokn": "route": there is no route "mds.tokn"; did you mean "mds.token"?`: func(emu *servertest.Emulator) {
			emu.Fail("mds.tokn", servertest.Status(503))
		},
		`servertest: the clock cannot be advanced by -1s: to go back, set it`: func(emu *servertest.Emulator) { emu.Advance(-time.Second) },
		`servertest: no request waits for "instance/tags": context canceled`: func(emu *servertest.Emulator) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			emu.AwaitWaiter(ctx, "instance/tags")
		},
		`servertest: read metadata "instance/nothing": there is no such entry: "instance/nothing"`: func(emu *servertest.Emulator) { emu.Metadata("instance/nothing") },
		`servertest: mint a token of kind "id": an ID token needs an audience`: func(emu *servertest.Emulator) {
			emu.Mint(servertest.Order{Kind: token.KindID})
		},
		`servertest: replace the world: body:1:1: unknown key "projet"; hint: did you mean "project"?`: func(emu *servertest.Emulator) {
			emu.SetState([]byte("projet: {}"))
		},
		"servertest: there is no service \"shop\"\nhint: give the instance of that name an ingress: " +
			"instances: [{name: shop, profile: cloud-run, ingress: {}}]": func(emu *servertest.Emulator) {
			emu.Ingress("shop", http.NotFoundHandler())
		},
		`servertest: there is no service account or user "x@y.z"`: func(emu *servertest.Emulator) { emu.ClientAs("x@y.z", "") },
		`servertest: there is no instance "twin"`:                 func(emu *servertest.Emulator) { emu.InstanceNamed("twin") },
	} {
		test := &refusing{TB: t}
		emu := servertest.New(test)
		func() {
			defer func() { _ = recover() }()
			mistake(emu)
		}()
		if test.said != want {
			t.Errorf("the test is told %q, want %q", test.said, want)
		}
	}
	for want, option := range map[string]servertest.Option{
		"servertest: the fixture has no instance": servertest.Fixture(&fixtures.Fixture{}),
		`unknown key "projet"`:                    servertest.YAML("projet: {}"),
	} {
		test := &refusing{TB: t}
		func() {
			defer func() { _ = recover() }()
			servertest.New(test, option)
		}()
		if !strings.Contains(test.said, want) {
			t.Errorf("the test is told %q, want %q", test.said, want)
		}
	}
}

// The events of a VM show in its metadata, at the emulator's time.
func TestEvent(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	emu.Freeze()
	emu.Event("preempt", func(e *event.Event) { e.In = fixtures.Duration(10 * time.Second) })
	if _, preempted := get(t, emu.Client(), root+"instance/preempted"); preempted != "FALSE" {
		t.Errorf("preempted at once: %q", preempted)
	}
	emu.Advance(10 * time.Second)
	if _, preempted := get(t, emu.Client(), root+"instance/preempted"); preempted != "TRUE" {
		t.Errorf("not preempted in time: %q", preempted)
	}
}

// The next token has the defect, and later tokens do not.
func TestDefect(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	emu.Fail("mds.identity", servertest.Defect(token.AlgNone), servertest.Times(1))
	if _, bad := get(t, emu.Client(), identity); !strings.HasSuffix(bad, ".") {
		t.Errorf("signed all the same: %s", bad)
	}
	if _, good := get(t, emu.Client(), identity); strings.HasSuffix(good, ".") {
		t.Errorf("not signed: %s", good)
	}
}
