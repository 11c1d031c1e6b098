package observer_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
)

// lines collects the lines of a log in JSON.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns the lines so far, without the fields that differ each time, and forgets them.
func (l *lines) take(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(l.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if took, ok := fields["duration"].(float64); fields["level"] == "DEBUG" && (!ok || took <= 0) {
			t.Errorf("the duration is %v in %s", fields["duration"], line)
		}
		delete(fields, "time")
		delete(fields, "duration")
		all = append(all, fields)
	}
	l.text.Reset()
	return all
}

func logging(t *testing.T, level slog.Level, mode guard.Mode) (*emulatortest.Emulator, *lines) {
	t.Helper()
	log := &lines{}
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.Logger, config.IAM = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level})), mode
	})
	return e, log
}

// At level debug, the log has a line for each request, without secrets. It does not matter which
// part of the emulator answers.
func TestRequestsAreLogged(t *testing.T) {
	t.Parallel()
	e, log := logging(t, slog.LevelDebug, guard.Off)
	line := func(method, path, route string, status float64, account string) map[string]any {
		return map[string]any{
			"level": "DEBUG", "msg": "request", "method": method, "path": path, "host": e.Address, "route": route, "status": status,
			"account": account, "caller": "", "fault": "", "program": "",
		}
	}
	for request, want := range map[string]map[string]any{
		"GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n": line("GET", emulatortest.AttachedPath+"default/token", "mds.token", 200, emulatortest.Default),
		"GET /oauth2/v3/certs?access_token=ya29.secret\n\n":                               line("GET", "/oauth2/v3/certs?access_token=REDACTED", "keys.jwks", 200, ""),
		"GET /emulator/v1/livez\n\n":                                                      line("GET", "/emulator/v1/livez", "control.livez", 200, ""),
		"HEAD /\n\n":                                                                      line("HEAD", "/", "mds.ping", 200, ""),
	} {
		e.Exchange(t, request)
		if diff := cmp.Diff([]map[string]any{want}, log.take(t)); diff != "" {
			t.Errorf("%s: the log has (-want +got):\n%s", request, diff)
		}
	}
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	_, err := client.SignBlob(emulatortest.CallContext(t), &credentialspb.SignBlobRequest{Name: "projects/-/serviceAccounts/" + emulatortest.Worker, Payload: []byte("x")})
	if got := log.take(t); len(got) != 1 || got[0]["route"] != "iamcredentials.signBlob" || got[0]["host"] != e.Address {
		t.Errorf("a call that ends with %v has the lines %v", err, got)
	}
}

// A refusal is a single line of level info, also if the log has level debug. Metrics count the
// refusal by its code.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		e, log := logging(t, level, guard.Enforce)
		e.Exchange(t, "POST /v1/projects/-/serviceAccounts/"+emulatortest.Worker+":signBlob\n\n{}")
		got := log.take(t)
		if len(got) != 1 || got[0]["level"] != "INFO" || got[0]["code"] != "no-credential" || got[0]["reason"] == "" || got[0]["host"] != e.Address {
			t.Errorf("at level %v, the log has %v", level, got)
		}
		const counted = `gcp_metadata_emulator_refusals_total{outcome="refused",reason="no-credential"} 1`
		if text := e.Exchange(t, "GET /emulator/metrics\n\n").Body; !strings.Contains(text, counted+"\n") {
			t.Errorf("metrics lack %s:\n%s", counted, text)
		}
	}
	e, log := logging(t, slog.LevelInfo, guard.Enforce)
	e.Exchange(t, "GET /\n\n")
	if got := log.take(t); len(got) > 0 {
		t.Errorf("at level info, the log has %v for a request that was not refused", got)
	}
}
