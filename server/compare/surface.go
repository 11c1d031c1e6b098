package compare

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/signer"
)

// Surface is a host of Google's public API, with the routes of its scripts.
type Surface struct {
	Name   string
	Host   string
	Routes []string // prefixes of names

	isPublic bool // it asks for no credentials
}

// Surfaces returns the surfaces that can be compared with the key file of a service account.
func Surfaces() []Surface {
	return []Surface{
		{Name: "tokens", Host: "oauth2.googleapis.com", Routes: []string{"oauth2.token"}},
		{Name: "iamcredentials", Host: "iamcredentials.googleapis.com", Routes: []string{"iamcredentials."}},
		{Name: "certs", Host: "www.googleapis.com", Routes: []string{"keys."}, isPublic: true},
		{Name: "sts", Host: "sts.googleapis.com", Routes: []string{"sts."}},
	}
}

// URL returns the URL of the surface's host in a universe; "" is Google's own.
func (s Surface) URL(universe string) string { return "https://" + inUniverse(s.Host, universe) }

// TokenHosts returns the server that gives tokens to the account, if the server of the surface is at a URL. It
// returns nothing if the two are the same server.
func (s Surface) TokenHosts(at *url.URL, universe string) []string {
	if endpoint := tokenEndpoint(at, universe); !s.isPublic && endpoint.Host != at.Host {
		return []string{endpoint.String()}
	}
	return nil
}

// Account is the service account of a key file.
type Account struct {
	Email    string
	UniqueID string
	Project  string // ID
	Universe string // domain; empty: Google's own
	Key      signer.Key
}

// RunSurface compares a public host with an emulator that knows the account. The private key does not leave the
// process. Each server gets only assertions that it alone accepts, and tokens that it has issued.
func RunSurface(ctx context.Context, options Options, surface Surface, account Account) (Report, error) {
	c := newComparison(options, account.names())
	c.judge = func(theirs, ours script.Answer) []Difference { return judgePublic(theirs, ours, c.names) }
	c.frame = func(a script.Answer) string { return frame(a, c.names) }
	visit, err := newVisit(surface, account, c.names, options.Now)
	if err != nil {
		return Report{}, err
	}
	if c.values, err = visit.enter(ctx, c.real, options.Real); err != nil {
		return Report{}, err
	}
	at := options.With
	if at == nil {
		if at, err = c.emulateAccount(ctx, surface, account); err != nil {
			return Report{}, err
		}
	}
	c.lead(at)
	if c.ownValues, err = visit.enter(ctx, c.emulated, at); err != nil {
		return Report{}, err
	}
	c.emulated.Host = c.real.Host
	err = c.compareSurface(ctx, surface, c.surfaceChecks(surface, account, options.Write))
	if err != nil && c.real.Asked <= 1 {
		return Report{}, err // nothing was compared
	}
	c.end(ctx, err)
	report := c.report()
	report.Surface = surface.Name
	return report, nil
}

// emulateAccount starts an emulator that knows the account.
func (c *comparison) emulateAccount(ctx context.Context, surface Surface, account Account) (*url.URL, error) {
	policies, err := c.policies(ctx, surface, account)
	if err != nil {
		return nil, err
	}
	fixture, err := account.fixture(policies)
	if err != nil {
		return nil, err
	}
	at, err := c.options.Emulate(ctx, fixture)
	if err != nil {
		return nil, fmt.Errorf("cannot emulate the account of the key file: %w", err)
	}
	return at, nil
}

// compareSurface asks the requests of the scripts, and the checks.
func (c *comparison) compareSurface(ctx context.Context, surface Surface, checks []check) error {
	if err := c.probes(ctx, surface.probes(c.options.Scripts, c.values)); err != nil {
		return err
	}
	for _, check := range checks {
		if err := c.left(c.check(ctx, check)); err != nil {
			return err
		}
	}
	return nil
}

// probes returns the requests of the scripts if there are values for their variables. None of the requests
// changes anything.
func (s Surface) probes(scripts []script.Script, values map[string]string) []Probe {
	var probes []Probe
	for _, wire := range scripts {
		for _, exchange := range wire.Exchanges {
			request, isOwn := s.own(exchange.Request)
			if _, isBound := bind(request, values); isOwn && isBound {
				probes = added(probes, Probe{Name: wire.Route + " " + exchange.Name, Request: request, Rules: wire.RulesOf(exchange.Name)})
			}
		}
	}
	return probes
}

// own returns the request of a script without its Host, and whether it is for this host.
func (s Surface) own(request string) (string, bool) {
	head, body, _ := strings.Cut(request, "\n\n")
	before, host, has := strings.Cut(head, "\nHost: ")
	if !has {
		return request, true
	}
	host, after, _ := strings.Cut(host+"\n", "\n")
	return before + strings.TrimSuffix("\n"+after, "\n") + "\n\n" + body, host == s.Host
}

// policies returns the policies of the real server that decide on the answers: whether the account may
// impersonate itself.
func (c *comparison) policies(ctx context.Context, surface Surface, account Account) ([]any, error) {
	if surface.Name != "iamcredentials" {
		return []any{}, nil
	}
	request, _ := bind(impersonating("generateAccessToken", "bearer", `{"scope":["https://www.googleapis.com/auth/cloud-platform"]}`), c.values)
	answer, err := c.real.Ask(ctx, request)
	if err != nil || answer.Status != http.StatusOK {
		return []any{}, err
	}
	return []any{map[string]any{"resource": "serviceAccounts/" + account.Email, "bindings": []any{map[string]any{
		"role": "roles/iam.serviceAccountTokenCreator", "members": []string{"serviceAccount:" + account.Email},
	}}}}, nil
}

// fixture returns a fixture with the account, as JSON.
func (a Account) fixture(policies []any) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(a.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the public key of the key file: %w", err)
	}
	return json.Marshal(map[string]any{
		"strict": true, "universeDomain": cmp.Or(a.Universe, hostname.DefaultUniverse), "project": map[string]any{"id": a.Project}, "policies": policies,
		"serviceAccounts": []any{map[string]any{
			"email": a.Email, "uniqueId": a.UniqueID, "publicKeys": []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))},
		}},
	})
}

// names makes names of the values that identify the account.
func (a Account) names() *pseudonym.Names {
	names := pseudonym.New()
	name, _, _ := strings.Cut(a.Email, "@")
	names.Learn(pseudonym.Email, a.Email)
	names.Learn(pseudonym.Email, url.QueryEscape(a.Email))
	names.Learn(pseudonym.Name, name)
	names.Learn(pseudonym.Project, a.Project)
	names.Learn(pseudonym.ID, a.UniqueID)
	names.Learn(pseudonym.ID, a.Key.ID())
	return names
}
