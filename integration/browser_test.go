package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"testing"

	"gcp-metadata-emulator/server/servertest"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"
)

// behindProxy is a world with a service behind Identity-Aware Proxy, for the user.
const behindProxy = `
users: [{email: other@example.com}, {email: dev@example.com, name: Dev Example}]
policies: [{resource: services/console, bindings: [{role: roles/iap.httpsResourceAccessor, members: ["user:dev@example.com"]}]}]
instances: [{name: console, profile: cloud-run, ingress: {authentication: iap}}]
`

// signedIn is the output of browser.mjs.
type signedIn struct {
	SignIn, Shown, SameSite, Visible string
	HTTPOnly                         bool
	Status, Anonymous                int
}

// A person signs in with a browser, and the service verifies the assertion with Google's library.
func TestBrowserSignsIn(t *testing.T) {
	prepared := theStage()
	needNode(t, prepared)
	browser, err := exec.LookPath("chromium")
	if err != nil {
		skip(t, err)
	}
	emu := servertest.New(t, servertest.YAML(behindProxy))
	keys, err := idtoken.NewValidator(t.Context(), option.WithHTTPClient(emu.Client()))
	if err != nil {
		t.Fatal(err)
	}
	door := emu.Ingress("console", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const audience = "/projects/123456789012/locations/us-central1/services/console"
		payload, err := keys.Validate(r.Context(), r.Header.Get("X-Goog-Iap-Jwt-Assertion"), audience)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprint(w, payload.Claims["email"])
	}))
	command := exec.CommandContext(t.Context(), prepared.Node, nodeFolder+"/browser.mjs", browser, door.URL+"/a?b=c", theUser)
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, complaint(err))
	}
	want := signedIn{
		SignIn: "/_gcp_iap/sign_in", Shown: theUser, HTTPOnly: true, SameSite: "Lax", Status: http.StatusOK, Anonymous: http.StatusUnauthorized,
	}
	if diff := cmp.Diff(want, report[signedIn](t, printed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// complaint returns the error output of a failed program.
func complaint(err error) string {
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(failed.Stderr)
	}
	return ""
}
