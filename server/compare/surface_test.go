package compare_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/signer"
)

// The emulator's public hosts do not differ from an emulator that knows a key file of theirs, whether or
// not the account may impersonate itself.
func TestSelfOfSurfaces(t *testing.T) {
	t.Parallel()
	least := map[string]int{"tokens": 60, "iamcredentials": 60, "certs": 20, "sts": 15}
	for _, surface := range compare.Surfaces() {
		for name, policies := range map[string]string{"impersonates": impersonates, "does not impersonate": "[]"} {
			t.Run(surface.Name+" "+name, func(t *testing.T) {
				t.Parallel()
				e := emulate(t, publicFixture(policies))
				asked := surfaceOptions(t, surface, "https://"+served(t, func(ctx context.Context, listener net.Listener) error { return e.Serve(ctx, e.TLS(listener)) }))
				authority := emulatortest.Must[*keys.Authority](t)(e.Keys.Authority())
				asked.Write, asked.Roots = true, x509.NewCertPool()
				asked.Roots.AppendCertsFromPEM([]byte(authority.Certificate()))
				report, err := compare.RunSurface(t.Context(), asked, surface, accountOf(t, e))
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s", report.Summary())
				for _, d := range report.Differences {
					t.Errorf("%+v", d)
				}
				if report.LeftOut > 0 || report.Requests < least[surface.Name] {
					t.Errorf("%d requests, and %d left out", report.Requests, report.LeftOut)
				}
			})
		}
	}
}

const impersonates = "[{resource: serviceAccounts/" + emulatortest.Worker +
	", bindings: [{role: roles/iam.serviceAccountTokenCreator, members: ['serviceAccount:" + emulatortest.Worker + "']}]}]"

// publicFixture returns a fixture with policies that are enforced.
func publicFixture(policies string) string {
	return "{strict: true, serviceAccounts: [{email: " + emulatortest.Worker + ", uniqueId: '" + emulatortest.WorkerID + "'}], policies: " + policies + "}"
}

// surfaceOptions compares a surface of the server at a URL with an emulator.
func surfaceOptions(t *testing.T, surface compare.Surface, at string) compare.Options {
	t.Helper()
	all := emulatortest.Must[[]script.Script](t)(script.Read(os.DirFS("../testdata/wire"), "*.txtar"))
	return compare.Options{
		Real: emulatortest.Must[*url.URL](t)(url.Parse(at)), Scripts: script.Of(all, surface.Routes...), Limit: compare.MaxRequests, Now: time.Now,
		Emulate: func(_ context.Context, fixture []byte) (*url.URL, error) {
			return url.Parse("http://" + served(t, emulate(t, string(fixture)).Serve)) //nolint:contextcheck // it ends with the test
		},
	}
}

// served serves a listener until the test ends, and returns its address.
func served(t *testing.T, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	listener := emulatortest.Must[net.Listener](t)((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// accountOf returns the worker of an emulator, with the key of its key file.
func accountOf(t *testing.T, e *emulatortest.Emulator) compare.Account {
	t.Helper()
	key := emulatortest.Must[*keys.Key](t)(e.Keys.User(emulatortest.Worker, emulatortest.WorkerID).Active(t.Context()))
	return compare.Account{Email: emulatortest.Worker, UniqueID: emulatortest.WorkerID, Project: "demo-project", Key: signer.RSA(key)}
}

// If an account has a permission at only one of the servers, this is a difference, with the refusal's
// reason.
func TestPermissionsDiffer(t *testing.T) {
	t.Parallel()
	surface := compare.Surfaces()[1]
	e := emulate(t, publicFixture(impersonates))
	options := surfaceOptions(t, surface, e.URL)
	emulated := options.Emulate
	options.Emulate = func(ctx context.Context, fixture []byte) (*url.URL, error) {
		var world map[string]any
		if err := json.Unmarshal(fixture, &world); err != nil {
			return nil, err
		}
		delete(world, "policies")
		changed, err := json.Marshal(world)
		if err != nil {
			return nil, err
		}
		return emulated(ctx, changed)
	}
	report, err := compare.RunSurface(t.Context(), options, surface, accountOf(t, e))
	if err != nil {
		t.Fatal(err)
	}
	const want = `generateAccessToken: status 403, error "PERMISSION_DENIED", reason "IAM_PERMISSION_DENIED", permission "iam.serviceAccounts.getAccessToken"`
	if !slices.ContainsFunc(report.Differences, func(d compare.Difference) bool {
		return d.Aspect == compare.Behaviour && d.Real == "generateAccessToken: status 200" && d.Emulated == want
	}) {
		t.Errorf("no difference says %s: %+v", want, report.Differences)
	}
}
