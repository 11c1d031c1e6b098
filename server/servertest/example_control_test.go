package servertest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
)

func ExampleInstance_SetMetadata() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.SetMetadata("instance/tags", []string{"web"})
	emu.SetMetadata("project/attributes/team", "green")
	fmt.Println(emu.Metadata("instance/tags"), emu.Metadata("project/attributes/team"), emu.Metadata("instance/cpuPlatform"))

	emu.DeleteMetadata("project/attributes/team")
	fmt.Println(emu.Metadata("project/attributes"))
	// Output:
	// [web] green Intel Broadwell
	// map[]
}

// Infrastructure events take their documented time, which a test skips by advancing the clock.
func ExampleInstance_Event() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.Freeze()
	emu.Event("live-migrate", func(e *event.Event) { e.In = fixtures.Duration(time.Minute) })
	for _, one := range emu.Events() {
		fmt.Println(one.Type, "takes", one.Ends.Sub(one.Begins), "and begins in", one.Begins.Sub(emu.Now()))
	}
	for range 4 {
		fmt.Println(emu.Metadata("instance/maintenanceEvent"))
		emu.Advance(50 * time.Second)
	}

	preemption := emu.Event("preempt")
	preemption.Cancel() // leaves the metadata as it is: the VM does not learn that its notice is over
	emu.Event("shutdown")
	emu.ClearEvents()
	fmt.Println(emu.Metadata("instance/preempted"), len(emu.Events()))
	// Output:
	// live-migrate takes 1m10s and begins in 1m0s
	// NONE
	// NONE
	// MIGRATE_ON_HOST_MAINTENANCE
	// NONE
	// TRUE 0
}

// Each instance has its own metadata server.
func ExampleEmulator_InstanceNamed() {
	t := newT()
	defer t.end()

	emu := servertest.New(t, servertest.YAML("instances: [{name: demo-vm}, {name: twin}]"))
	twin := emu.InstanceNamed("twin")
	twin.SetMetadata("instance/attributes/color", "green")
	fmt.Println(get(t, http.DefaultClient, twin.URL+"/computeMetadata/v1/instance/attributes/color"))
	fmt.Println(get(t, http.DefaultClient, emu.URL+"/computeMetadata/v1/instance/name"))
	// Output:
	// 200 green
	// 200 demo-vm
}

func ExampleEmulator_SetTime() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.Freeze()
	emu.SetTime(time.Date(2038, 1, 19, 3, 14, 7, 0, time.UTC))
	fmt.Println(emu.Now())

	verified, _ := emu.Verify(emu.Mint(servertest.Order{Kind: token.KindAccess}), token.Demand{})
	fmt.Println(verified.Expires.UTC())

	emu.Unfreeze()
	fmt.Println(emu.Now().Year())
	// Output:
	// 2038-01-19 03:14:07 +0000 UTC
	// 2038-01-19 04:14:07 +0000 UTC
	// 2038
}

// A test can mint a token for any principal, with any claims and with any defect.
func ExampleEmulator_Mint() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	const app = "/projects/123456789012/apps/demo-project"
	order := servertest.Order{
		Kind: token.KindIAP, Account: "dev@example.com", Audience: app, Claims: map[string]any{"hd": "example.com"},
	}
	good, err := emu.Verify(emu.Mint(order), token.Demand{Audience: app})
	fmt.Println(good.Principal.Email, good.Claims["hd"], err)

	order.Defect = token.WrongIssuer
	_, err = emu.Verify(emu.Mint(order), token.Demand{Audience: app})
	fmt.Println(err)
	// Output:
	// dev@example.com example.com <nil>
	// the issuer is "https://wrong-issuer.example.com", not "https://cloud.google.com/iap"
}

// A token is good for a purpose, or not.
func ExampleEmulator_VerifyFor() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	text := emu.Mint(servertest.Order{Kind: token.KindID, Audience: "https://service.example.com"})
	decided := emu.VerifyFor("oidc", "Bearer "+text, "http://service.example.com")
	fmt.Println(decided.Valid, decided.Reason)
	fmt.Println(decided.Cause)
	for _, decided := range emu.Purposes(text)[:2] {
		fmt.Println(decided.For, decided.Valid)
	}
	// Output:
	// false the token is for "https://service.example.com", not for "http://service.example.com"
	// the audiences "https://service.example.com" and "http://service.example.com" differ only by the scheme
	// oidc true
	// iap false
}

// The next ID token that the program under test gets has a defect.
func ExampleDefect() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.Fail("mds.identity", servertest.Defect(token.WrongAudience), servertest.Times(1))
	for range 2 {
		_, text := get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"+
			"?audience=https://service.example.com")
		_, err := emu.Verify(text, token.Demand{Audience: "https://service.example.com"})
		fmt.Println(err)
	}
	// Output:
	// the token is for "https://wrong-audience.example.com", not for "https://service.example.com"
	// <nil>
}

// Another emulator in a test, such as one of Cloud Storage, asks for the principal and the
// permissions of a token.
func ExampleEmulator_Caller() {
	t := newT()
	defer t.end()

	emu := servertest.New(t, servertest.YAML(`
policies: [{resource: project, bindings: [{role: roles/owner, members: ["user:dev@example.com"]}]}]
`))
	access := emu.Mint(servertest.Order{Kind: token.KindAccess, Account: "dev@example.com"})
	for _, permission := range []string{"iam.serviceAccounts.list", "iam.serviceAccounts.getAccessToken"} {
		caller, err := emu.Caller(servertest.Call{Bearer: access, Permission: permission})
		fmt.Println(caller.Principal, caller.Allowed, err)
	}
	_, err := emu.Caller(servertest.Call{Bearer: "ya29.c.xyz"})
	fmt.Println(err)
	// Output:
	// user:dev@example.com true <nil>
	// user:dev@example.com false <nil>
	// the access token was not issued by this emulator, or was changed afterwards
}

// A rotation replaces the keys that verifiers cache, and makes older ID tokens invalid.
func ExampleEmulator_RotateKeys() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	old := emu.Mint(servertest.Order{Kind: token.KindID, Audience: "https://service.example.com"})
	states := func() (list []keys.State) {
		for _, key := range emu.Keys() {
			list = append(list, key.State)
		}
		return list
	}

	emu.RotateKeys()
	_, err := emu.Verify(old, token.Demand{})
	fmt.Println(states(), err)

	emu.RotateKeysKeeping(0)
	_, err = emu.Verify(old, token.Demand{})
	fmt.Println(states(), strings.Contains(err.Error(), "has not published a key"))
	// Output:
	// [retired active next] <nil>
	// [active next] true
}

// A test waits until the program under test has done something in its own time.
func ExampleEmulator_Watch() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	asked := emu.Watch(context.Background(), journal.Filter{Route: "mds.token"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/name")
		get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token")
	}()
	for exchange := range asked {
		fmt.Println(exchange.Route, exchange.Account, exchange.Status)
		break
	}
	<-done
	// Output: mds.token 123456789012-compute@developer.gserviceaccount.com 200
}

func ExampleEmulator_RequestsWhere() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/name")
	get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/nothing")
	for _, exchange := range emu.RequestsWhere(journal.Filter{Route: "mds.*", Status: "4xx"}) {
		fmt.Println(exchange.Path, exchange.Status)
	}

	emu.ClearRequests()
	fmt.Println(len(emu.Requests("*")))
	// Output:
	// /computeMetadata/v1/instance/nothing 404
	// 0
}

func ExampleEmulator_Faults() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	denied := emu.Fail("iamcredentials.*", servertest.Status(http.StatusForbidden))
	emu.Fail("mds.token", servertest.Status(http.StatusTooManyRequests), servertest.Every(3))
	denied.Remove()
	for _, one := range emu.Faults() {
		fmt.Println(one.Rule.Route, one.Rule.Status, one.Hits())
	}

	emu.ClearFaults()
	fmt.Println(len(emu.Faults()))
	// Output:
	// mds.token 429 0
	// 0
}

// A test can read the emulator's state, use it elsewhere, and undo it.
func ExampleEmulator_SetState() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.SetMetadata("instance/attributes/color", "green")
	state := emu.State() // in the form that --fixture accepts
	fmt.Println(bytes.Contains(state, []byte(`"color": "green"`)))

	emu.SetState([]byte("project: {id: my-project}"))
	fmt.Println(emu.Metadata("project/projectId"))
	emu.SetState(state)
	fmt.Println(emu.Metadata("project/projectId"), emu.Metadata("instance/attributes"))
	emu.Reset()
	fmt.Println(emu.Metadata("instance/attributes"))
	// Output:
	// true
	// my-project
	// demo-project map[color:green]
	// map[]
}

func ExampleInstance_Waiters() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.Freeze()
	done := make(chan struct{})
	go func() {
		defer close(done)
		get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/tags?wait_for_change=true&timeout_sec=60")
	}()
	emu.AwaitWaiter(context.Background(), "instance/tags")
	emu.Advance(59 * time.Second)
	for _, waiter := range emu.Waiters() {
		fmt.Println(waiter.Path, emu.Now().Sub(waiter.Since))
	}
	emu.Advance(time.Second)
	<-done
	fmt.Println(len(emu.Waiters()))
	// Output:
	// /computeMetadata/v1/instance/tags?wait_for_change=true&timeout_sec=60 59s
	// 0
}

// Clients with a proxy and a root certificate also reach Google's names.
func ExampleEmulator_CA() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	proxy, _ := url.Parse(emu.URL)
	roots := x509.NewCertPool()
	fmt.Println(roots.AppendCertsFromPEM([]byte(emu.CA())))
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	status, _ := get(t, &http.Client{Transport: transport}, "https://www.googleapis.com/oauth2/v3/certs")
	fmt.Println(status)
	// Output:
	// true
	// 200
}

// Explain says why a program does not get what it wants.
func ExampleEmulator_Explain() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/nothing")
	found := emu.Explain()[0]
	fmt.Println(found.Sentence[strings.Index(found.Sentence, "the instance"):])
	// Output: the instance "demo-vm" has no metadata at "/computeMetadata/v1/instance/nothing"
}

// A job of GitHub Actions exchanges its ID token for an access token.
func ExampleEmulator_SetenvGitHubActions() {
	t := newT()
	defer t.end()

	emu := servertest.New(t, servertest.YAML(`
workloadIdentityPools:
  - id: pool
    providers:
      - id: github
        issuer: github-actions
        attributeMapping: {google.subject: assertion.sub, attribute.repository: assertion.repository}
        attributeCondition: assertion.repository_owner == "octo-org"
`))
	emu.SetenvGitHubActions(t, "octo-org/octo-repo@refs/tags/v1")

	const provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/providers/github"
	request, err := http.NewRequest(http.MethodGet, os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL")+"&audience="+url.QueryEscape("https:"+provider), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "bearer "+os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
	job := answerOf(t, emu.Client(), request)

	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {provider},
		"scope":                {"https://www.googleapis.com/auth/cloud-platform"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"subject_token":        {job["value"].(string)}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
	}
	request, err = http.NewRequest(http.MethodPost, "https://sts.googleapis.com/v1/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	access := answerOf(t, emu.Client(), request)
	caller, err := emu.Caller(servertest.Call{Bearer: access["access_token"].(string)})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(caller.Principal)
	// Output: principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/subject/repo:octo-org/octo-repo:ref:refs/tags/v1
}

// answerOf sends a request and returns the JSON object in the answer.
func answerOf(t *exampleT, client *http.Client, request *http.Request) map[string]any {
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var object map[string]any
	if err := json.NewDecoder(response.Body).Decode(&object); err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, object, err)
	}
	return object
}
