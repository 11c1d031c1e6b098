package integration_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/servertest"
)

const (
	loginAccount = "login@demo-project.iam.gserviceaccount.com"
	otherAccount = "other@demo-project.iam.gserviceaccount.com"
)

// A service in Java verifies the tokens of its callers itself, behind the door that lets them in.
func TestJavaReceiver(t *testing.T) {
	t.Parallel()
	command := java(t, javaOfGcloud(t), "clients/java/Receiver.java")
	emu := servertest.New(t, servertest.YAML(`
project: {id: demo-project}
serviceAccounts: [{email: `+loginAccount+`}, {email: `+otherAccount+`}]
instances: [{name: profiles, profile: cloud-run, ingress: {authentication: invoker}}]
policies:
  - resource: services/profiles
    bindings: [{role: roles/run.invoker, members: ["serviceAccount:`+loginAccount+`"]}]
`))
	var receiver httputil.ReverseProxy
	door := emu.Ingress("profiles", &receiver)
	service := startReceiver(t, append(command, "Receiver", door.URL, emu.URL+"/oauth2/v3/certs"))
	receiver.Rewrite = func(r *httputil.ProxyRequest) { r.SetURL(service) }

	for _, test := range []struct {
		name, account, audience string
		status                  int
		body                    string
	}{
		{"an invoker", loginAccount, door.URL, http.StatusOK, loginAccount},
		{"an audience of the door that the service does not expect", loginAccount, door.Service.URLs[0], http.StatusUnauthorized, "not verified: "},
		{"another account", otherAccount, door.URL, http.StatusForbidden, "\n<html>"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, door.URL+"/ada", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := emu.ClientAs(test.account, test.audience).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close() // it has been read
		if err != nil || response.StatusCode != test.status || !strings.HasPrefix(string(body), test.body) {
			t.Errorf("%s: %d %q, %v; want %d %q", test.name, response.StatusCode, body, err, test.status, test.body)
		}
	}
}

// startReceiver starts a service, and returns its URL, which is the first line of its output.
func startReceiver(t *testing.T, line []string) *url.URL {
	t.Helper()
	command := exec.CommandContext(t.Context(), line[0], line[1:]...) // the end of the test ends it
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // it was killed
	first, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(strings.TrimSpace(first))
	if err != nil {
		t.Fatal(err)
	}
	return at
}
