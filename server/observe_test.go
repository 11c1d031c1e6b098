package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/signer"
)

func TestFaultsOfOneAccount(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	values := wireValues(t, e)
	e.Fail(t, `{"route": "*", "match": {"account": "`+emulatortest.Worker+`"}, "status": 503}`)
	e.Fail(t, `{"route": "*", "match": {"audience": "https://struck.example.com"}, "status": 429}`)
	sign := func(account, audience string) string {
		return "POST /v1/projects/-/serviceAccounts/" + account + ":generateIdToken\nAuthorization: Bearer x\n\n" + `{"audience": "` + audience + `"}`
	}
	exchange := func(assertion string) string {
		return "POST /token\n\n" + url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {values.Replace(assertion)}}.Encode()
	}
	for name, test := range map[string]struct {
		request string
		want    int
	}{
		"metadata, another account": {"GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n", 200},
		"metadata":                  {"GET " + emulatortest.AttachedPath + emulatortest.Worker + "/token\nMetadata-Flavor: Google\n\n", 503},
		"identity":                  {"GET " + emulatortest.AttachedPath + "default/identity?audience=https%3A%2F%2Fstruck.example.com\nMetadata-Flavor: Google\n\n", 429},
		"identity, another":         {"GET " + emulatortest.AttachedPath + "default/identity?audience=x\nMetadata-Flavor: Google\n\n", 200},
		"IAM, another account":      {sign("target@demo-project.iam.gserviceaccount.com", "x"), 200},
		"IAM":                       {sign(emulatortest.Worker, "x"), 503},
		"IAM, by unique ID":         {sign(emulatortest.WorkerID, "x"), 503},
		"IAM, audience":             {sign("target@demo-project.iam.gserviceaccount.com", "https://struck.example.com"), 429},
		"assertion":                 {exchange("${assertion:good}"), 503},
		"assertion of nobody":       {exchange("${assertion:iss-unknown}"), 400},
		"tokeninfo":                 {values.Replace("GET /tokeninfo?access_token=${access:email}\n\n"), 503},
		"tokeninfo of an ID token":  {values.Replace("GET /tokeninfo?id_token=${id}\n\n"), 503},
		"certificates":              {"GET /robot/v1/metadata/x509/" + emulatortest.Worker + "\n\n", 503},
		"keys of everybody":         {"GET /oauth2/v3/certs\n\n", 200},
		"a body that is too large":  {values.Replace("POST /token\n\nassertion=${zeros}"), 413},
	} {
		if got := e.Exchange(t, test.request); got.Status != test.want {
			t.Errorf("%s: status %d, want %d: %s", name, got.Status, test.want, got.Body)
		}
	}
}

func TestJournalKnowsWhatRequestsAreAbout(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	values := wireValues(t, e)
	const compute = "123456789012-compute@developer.gserviceaccount.com"
	form := func(assertion string) string {
		return values.Replace("POST /token\n\ngrant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" + assertion)
	}
	metadata := func(path string) string { return "GET /computeMetadata/v1/" + path + "\nMetadata-Flavor: Google\n\n" }
	for request, want := range map[string]journal.Exchange{
		metadata("project/project-id"):                                                                 {Route: "mds.metadata", Instance: "demo-vm"},
		metadata("instance/attributes/token"):                                                          {Route: "mds.metadata", Instance: "demo-vm", Status: 404},
		metadata("instance/service-accounts/default/email"):                                            {Route: "mds.metadata", Instance: "demo-vm", Account: compute},
		metadata("instance/service-accounts/default/token"):                                            {Route: "mds.token", Instance: "demo-vm", Account: compute},
		metadata("/instance//service-accounts/default//token"):                                         {Route: "mds.token", Instance: "demo-vm", Account: compute},
		metadata("instance/service-accounts/nobody/token"):                                             {Route: "mds.metadata", Instance: "demo-vm", Account: "nobody", Status: 404},
		metadata("instance/service-accounts/default/identity?audience=a"):                              {Route: "mds.identity", Instance: "demo-vm", Account: compute, Audience: "a"},
		metadata("instance/guest-attributes/"):                                                         {Route: "mds.guest-attributes", Instance: "demo-vm", Status: 403},
		"GET /computeMetadata/v1/instance/name\nHost: other-vm.localhost\nMetadata-Flavor: Google\n\n": {Route: "mds.metadata", Instance: "other-vm", ChosenBy: "host"},
		"GET /\n\n":                   {Route: "mds.ping", Instance: "demo-vm"},
		"GET /latest/meta-data\n\n":   {Route: "unknown", Status: 404},
		"DELETE /oauth2/v3/certs\n\n": {Route: "unknown", Status: 404},
		form("${assertion:id-token}"): {Route: "oauth2.token", Account: emulatortest.Worker, Audience: "https://service.example.com"},
		form("${assertion:iss-unknown}"): {
			Route: "oauth2.token", Account: "nobody@demo-project.iam.gserviceaccount.com", Status: 400,
		},
		form("nonsense"): {Route: "oauth2.token", Status: 400},
		values.Replace("GET /tokeninfo?access_token=${access}\n\n"):                          {Route: "oauth2.tokeninfo", Account: emulatortest.Worker},
		values.Replace("POST /tokeninfo\n\naccess_token=${access}"):                          {Route: "oauth2.tokeninfo", Account: emulatortest.Worker},
		values.Replace("GET /tokeninfo?id_token=${id}\n\n"):                                  {Route: "oauth2.tokeninfo", Account: emulatortest.Worker, Audience: "https://service.example.com"},
		"GET /robot/v1/metadata/x509/" + emulatortest.Worker + "\n\n":                        {Route: "keys.account.x509", Account: emulatortest.Worker},
		values.Replace("GET /oauth2/v3/userinfo\nAuthorization: Bearer ${access:email}\n\n"): {Route: "oauth2.userinfo", Account: emulatortest.Worker},
		"GET /v1/projects/demo-project/serviceAccounts/" + emulatortest.WorkerID + "/keys\nAuthorization: Bearer x\n\n": {
			Route: "iam.serviceAccounts.keys.list", Account: emulatortest.Worker,
		},
		"POST /v1/token\n\n" + url.Values{"grant_type": {"x"}, "audience": {"//iam.googleapis.com/x"}}.Encode(): {
			Route: "sts.token", Audience: "//iam.googleapis.com/x", Status: 400,
		},
		"POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":generateIdToken\n\n" + `{"audience": "x"}`: { // refused before the body is read
			Route: "iamcredentials.generateIdToken", Account: emulatortest.Worker, Status: 401,
		},
	} {
		got := e.Exchange(t, request)
		if want.Status == 0 {
			want.Status = http.StatusOK
		}
		if want.Instance == "demo-vm" {
			want.ChosenBy = "default"
		}
		seen := e.Last(t)
		ignored := cmpopts.IgnoreFields(journal.Exchange{}, "Carried", "Got", "Sequence", "Time", "Duration", "Method", "Path", "Bytes", "UserAgent", "Host", "Code", "Reason", "Hint")
		if diff := cmp.Diff(want, seen, ignored); diff != "" || seen.Bytes != len(got.Body) {
			t.Errorf("%s\nwith an answer of %d bytes: the journal has (-want +got):\n%s%+v", request, len(got.Body), diff, seen)
		}
		if strings.Contains(seen.Path, "ya29") || strings.Contains(seen.Path, "eyJ") {
			t.Errorf("the journal has a secret: %s", seen.Path)
		}
	}
	before := e.Journal.Since(0).Last
	e.Get(t, "/emulator/v1/livez")
	e.Get(t, "/emulator/v1/nothing")
	if after := e.Journal.Since(0).Last; after != before {
		t.Error("the journal has a request to the control plane")
	}
}

// When the clock advances by an hour, the emulator replaces a cached token, and refuses the old token
// that a client holds.
func TestAdvancingAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, begun := emulatortest.Unserved(t, ""), time.Now()
		token := func() string {
			var answer struct {
				AccessToken string `json:"access_token"`
			}
			if err := json.Unmarshal(emulatortest.Ask(t.Context(), s, emulatortest.AttachedPath+"default/token").Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			return answer.AccessToken
		}
		held := token()
		if again := token(); again != held {
			t.Error("the token is not cached")
		}
		if got := emulatortest.Ask(t.Context(), s, "/tokeninfo?access_token="+held); got.Code != http.StatusOK {
			t.Fatalf("a valid token is refused: %s", got.Body)
		}
		if err := s.Clock.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		if fresh := token(); fresh == held {
			t.Error("the cached token was not replaced")
		}
		if got := emulatortest.Ask(t.Context(), s, "/tokeninfo?access_token="+held); got.Code != http.StatusBadRequest {
			t.Errorf("an expired token is accepted: %s", got.Body)
		}
		if time.Since(begun) != 0 {
			t.Errorf("the test took %v of real time", time.Since(begun))
		}
	})
}

// The certificates of the keys last less than a year: after a year, the emulator signs with new keys,
// and publishes them.
func TestAdvancingAYear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		keyID := func() string {
			parsed, err := signer.Parse(emulatortest.Ask(t.Context(), s, emulatortest.AttachedPath+"default/identity?audience=x").Body.String())
			if err != nil {
				t.Fatal(err)
			}
			return parsed.KeyID()
		}
		before := keyID()
		if err := s.Clock.Advance(365 * 24 * time.Hour); err != nil {
			t.Fatal(err)
		}
		after := keyID()
		if published := emulatortest.Ask(t.Context(), s, "/oauth2/v3/certs").Body.String(); after == before ||
			!strings.Contains(published, after) || strings.Contains(published, before) {
			t.Errorf("key %s signs tokens, key %s signed them before, and the published keys are %s", after, before, published)
		}
	})
}

// An emulator answers requests while other requests change it.
func TestDrivenWhileItAnswers(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Clock.Run()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				got := emulatortest.Ask(t.Context(), e.Server, emulatortest.AttachedPath+"default/token")
				if got.Code != http.StatusOK && got.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d", got.Code)
				}
				emulatortest.Ask(t.Context(), e.Server, "/emulator/v1/requests?route=mds.*")
			}
		})
	}
	for range 20 {
		added := e.Fail(t, `{"route": "mds.*", "match": {"account": "*"}, "status": 503, "probability": 0.5}`)
		if err := e.Clock.Advance(time.Minute); err != nil {
			t.Error(err)
		}
		e.Journal.Clear()
		e.Faults.Remove(added.ID)
	}
	all.Wait()
	e.Reset()
	if !e.Clock.FollowsMachine() || len(e.Faults.List()) > 0 || len(e.Journal.Since(0).Exchanges) > 0 {
		t.Error("faults or exchanges are left after a reset")
	}
}
