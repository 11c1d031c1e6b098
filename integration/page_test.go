package integration_test

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/servertest"
	"github.com/google/go-cmp/cmp"
)

// walked is a world with something on each page.
const walked = `
users: [{email: dev@example.com, name: Dev Example}]
serviceAccounts:
  - {email: 123456789012-compute@developer.gserviceaccount.com}
  - {email: batch@demo-project.iam.gserviceaccount.com, displayName: Nightly batch}
policies:
  - resource: serviceAccounts/batch@demo-project.iam.gserviceaccount.com
    bindings: [{role: roles/viewer, members: ["user:dev@example.com"]}]
  - resource: project
    bindings:
      - role: roles/iam.serviceAccountTokenCreator
        members: ["user:dev@example.com"]
        condition: {title: Until 2040, expression: "request.time < timestamp('2040-01-01T00:00:00Z')"}
  - resource: services/orders
    bindings: [{role: roles/run.invoker, members: ["user:dev@example.com"]}]
instances:
  - {name: demo-vm, metadata: {instance: {attributes: {color: red}}}}
  - {name: orders, profile: cloud-run, ingress: {}}
`

// walkReport is the output of pages.mjs.
type walkReport struct {
	Home, Overview, Verified, Refused, Reason, Edited, Played, Fault, Answer, Condition, Callers, FirstFocus string

	Minted, Waiters, Faulty, Mended, Advanced, SignIn int
	Rotated, Fish, Live, CopyButtons                  bool
	Violations, Errors                                []string
}

// A person drives the emulator with its web page, in a browser with scripts and in a browser without.
// axe-core has no objections, and pictures of each page are artifacts of the test.
func TestBrowserWalksThePage(t *testing.T) {
	prepared := theStage()
	needNode(t, prepared)
	browser, err := exec.LookPath("chromium")
	if err != nil {
		skip(t, err)
	}
	want := walkReport{
		Home: "/emulator/", Overview: "demo-project", Minted: 3, Verified: "The token is valid", Refused: "The token is not valid",
		Edited: "The entry is set. Requests that waited for it have been answered.", Played: "The event has begun.",
		Fault: "The fault is active.", Faulty: http.StatusServiceUnavailable, Mended: http.StatusOK, Advanced: 2, Rotated: true,
		Answer:    "Yes. user:dev@example.com has iam.serviceAccounts.getAccessToken on projects/demo-project.",
		Condition: "Until 2040 request.time < timestamp('2040-01-01T00:00:00Z')", Callers: "user:dev@example.com\tyes", Fish: true, SignIn: 1,
		Violations: []string{}, Errors: []string{},
	}
	for _, mode := range []string{"scripts", "none"} {
		t.Run(mode, func(t *testing.T) {
			emu := servertest.New(t, servertest.YAML(walked), servertest.Strict())
			refuse(t, emu)
			woken := park(t, emu, "instance/attributes/color")
			arguments := []string{nodeFolder + "/pages.mjs", browser, emu.URL, mode}
			want := want
			if mode == "scripts" {
				arguments = append(arguments, t.ArtifactDir())
				want.Live, want.CopyButtons, want.FirstFocus = true, true, "Skip to the content"
			}
			command := exec.CommandContext(t.Context(), prepared.Node, arguments...)
			printed, err := command.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, complaint(err))
			}
			got := report[walkReport](t, printed)
			if !strings.Contains(got.Reason, "lacks iam.serviceAccounts.getOpenIdToken") || !strings.Contains(got.Reason, "Hint:") {
				t.Errorf("the refusal is explained with %q", got.Reason)
			}
			got.Reason = ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if value := <-woken; value != "<blue>" {
				t.Errorf("the waiting client got %q", value)
			}
		})
	}
}

// refuse makes a request that the policies refuse.
func refuse(t *testing.T, emu *servertest.Emulator) {
	t.Helper()
	token := emu.Mint(servertest.Order{Kind: "access"})
	const url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/batch@demo-project.iam.gserviceaccount.com:generateIdToken"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"audience": "a"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := emu.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Fatalf("status %d, want a refusal", response.StatusCode)
	}
}

// park sends a request that waits for a change of an entry, and returns when it waits. The channel gets
// the new value.
func park(t *testing.T, emu *servertest.Emulator, entry string) <-chan string {
	t.Helper()
	woken := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, emu.URL+"/computeMetadata/v1/"+entry+"?wait_for_change=true", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
	go func() {
		defer close(woken)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return
		}
		defer response.Body.Close()
		if value, err := io.ReadAll(response.Body); err == nil {
			woken <- string(value)
		}
	}()
	emu.AwaitWaiter(ctx, entry)
	return woken
}
