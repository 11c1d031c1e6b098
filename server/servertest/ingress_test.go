package servertest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/servertest"
)

const services = `
serviceAccounts:
  - {email: login@demo-project.iam.gserviceaccount.com}
  - {email: search@demo-project.iam.gserviceaccount.com}
policies:
  - resource: services/user-profiles
    bindings: [{role: roles/run.invoker, members: ["serviceAccount:login@demo-project.iam.gserviceaccount.com"]}]
instances:
  - {name: login, profile: cloud-run, serviceAccounts: [{email: login@demo-project.iam.gserviceaccount.com}]}
  - {name: user-profiles, profile: cloud-run, ingress: {customAudiences: [profiles]}}
`

const (
	login  = "login@demo-project.iam.gserviceaccount.com"
	search = "search@demo-project.iam.gserviceaccount.com"
)

// The service user-profiles lets login in, and nobody else.
func ExampleEmulator_Ingress() {
	t := newT()
	defer t.end()

	emu := servertest.New(t, servertest.YAML(services))
	door := emu.Ingress("user-profiles", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "profile of", r.URL.Path)
	}))
	for _, client := range []*http.Client{emu.ClientAs(login, door.URL), emu.ClientAs(search, door.URL), emu.ClientAs(login, "other"), http.DefaultClient} {
		answer, err := client.Get(door.URL + "/ada")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		fmt.Println(answer.Status)
	}
	fmt.Println(emu.Requests("ingress.user-profiles")[1].Reason)
	// Output:
	// 200 OK
	// 403 Forbidden
	// 401 Unauthorized
	// 403 Forbidden
	// "serviceAccount:search@demo-project.iam.gserviceaccount.com" may not invoke service "user-profiles": it lacks run.routes.invoke
}

func echo(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "%s %s %t", r.URL.Path, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Authorization") != "")
}

// visit returns the body of a good answer, or the status of another.
func visit(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	status, body := get(t, client, url)
	if status != http.StatusOK {
		return http.StatusText(status)
	}
	return body
}

// The client's token follows the emulator's time and keys, and its audience.
func TestClientAs(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.YAML(services))
	door := emu.Ingress("user-profiles", http.HandlerFunc(echo))
	const passed = "/a https true"
	client := emu.ClientAs(login, "")
	for _, change := range []func(){func() {}, func() { emu.Advance(48 * time.Hour) }, func() { emu.RotateKeysKeeping(0) }} {
		change()
		if got := visit(t, client, door.URL+"/a"); got != passed {
			t.Errorf("%q", got)
		}
	}
	for audience, want := range map[string]string{
		"profiles": passed, door.Service.URLs[0]: passed, door.URL + "/x": passed, emu.URL: "Unauthorized",
	} {
		if got := visit(t, emu.ClientAs(login, audience), door.URL+"/a"); got != want {
			t.Errorf("with audience %q: %q, want %q", audience, got, want)
		}
	}
	if got := visit(t, emu.ClientAs("", "profiles"), door.URL); got != "/ https true" {
		t.Errorf("as the default instance's account: %q", got)
	}
}

// A service's URL leads to the handler by the emulator's main address, as the door's own address
// does, and the door itself is a handler.
func TestIngressByName(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.YAML(services))
	emu.Ingress("user-profiles", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler that was replaced was asked") }))
	door := emu.Ingress("user-profiles", http.HandlerFunc(echo))
	request := httptest.NewRequest(http.MethodGet, door.Service.URLs[0]+"/b", nil)
	request.Header.Set("Authorization", "Bearer "+emu.Mint(servertest.Order{Kind: "id", Account: login, Audience: door.URL}))
	recorder := httptest.NewRecorder()
	door.ServeHTTP(recorder, request)
	if got := recorder.Body.String(); got != "/b https true" {
		t.Errorf("the door as a handler: %q", got)
	}

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, emu.URL+"/c", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = strings.TrimPrefix(door.Service.URLs[0], "https://")
	answer, err := emu.ClientAs(login, door.Service.URLs[0]).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "/c https true" {
		t.Errorf("by the service's name: %q, %v", body, err)
	}
	var statuses []int
	for _, request := range emu.Requests("ingress.user-profiles") {
		statuses = append(statuses, request.Status)
	}
	if diff := cmp.Diff([]int{200, 200}, statuses); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

// The decision is middleware for a handler that a test serves by itself.
func TestRequireInvoker(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.YAML(services))
	own := httptest.NewUnstartedServer(nil)
	at := "http://" + own.Listener.Addr().String()
	own.Config.Handler = emu.RequireInvoker("user-profiles", at)(http.HandlerFunc(echo))
	own.Start()
	defer own.Close()
	for account, want := range map[string]string{login: "/d https true", search: "Forbidden"} {
		if got := visit(t, emu.ClientAs(account, ""), at+"/d"); got != want {
			t.Errorf("as %s: %q, want %q", account, got, want)
		}
	}
}
