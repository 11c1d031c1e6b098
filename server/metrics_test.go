package server_test

import (
	"bufio"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// series returns the time series of an emulator with their values.
func series(t *testing.T, e *emulatortest.Emulator) map[string]string {
	t.Helper()
	found := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(e.Exchange(t, "GET /emulator/metrics\n\n").Body)); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "gcp_metadata_emulator_"), " ")
		if ok && name != "#" {
			found[name] = value
		}
	}
	return found
}

// The measurements follow the emulator's work: each step changes its series by 1.
func TestMetricsFollowTokens(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	metadata := func(path string) string {
		return "GET " + emulatortest.AttachedPath + path + "\nMetadata-Flavor: Google\n\n"
	}
	sign := func(method, body string) string {
		return "POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":" + method + "\nAuthorization: Bearer x\n\n" + body
	}
	mint := func(body string) string { return "POST /emulator/v1/tokens\n\n" + body }
	const (
		signed = "signature_duration_seconds_count"
		hit    = `cache_lookups_total{cache="%s",result="hit"}`
		miss   = `cache_lookups_total{cache="%s",result="miss"}`
	)
	minted := func(kind string) string { return `tokens_minted_total{kind="` + kind + `"}` }
	of := func(format, cache string) string { return strings.Replace(format, "%s", cache, 1) }
	for _, step := range []struct {
		request string
		changed []string
	}{
		{metadata("default/token"), []string{minted("access"), of(miss, "access")}},
		{metadata("default/token"), []string{of(hit, "access")}},
		{metadata("default/identity?audience=x"), []string{minted("id"), of(miss, "id"), signed}},
		{metadata("default/identity?audience=x"), []string{of(hit, "id")}},
		{sign("signBlob", `{"payload": "eA=="}`), []string{signed}},
		{sign("signJwt", `{"payload": "{}"}`), []string{minted("jwt"), signed}},
		{mint(`{"kind": "iap", "account": "dev@example.com", "audience": "x"}`), []string{minted("iap"), signed}},
		{mint(`{"kind": "firebase", "user": "dev@example.com"}`), []string{minted("firebase"), signed}},
		{mint(`{"kind": "id", "audience": "x", "defect": "unknown-key"}`), []string{minted("id")}}, // signed with nobody's key
		{metadata("nobody/token"), nil},
	} {
		before := series(t, e)
		got := e.Exchange(t, step.request)
		after := series(t, e)
		want := map[string]bool{}
		for _, name := range step.changed {
			want[name] = true
		}
		for name, value := range after {
			of, _, _ := strings.Cut(name, "{")
			if of != signed && of != "tokens_minted_total" && of != "cache_lookups_total" {
				continue
			}
			if changed := value != before[name]; changed != want[name] {
				t.Errorf("%.90s, answered %d: %s was %s and is %s", step.request, got.Status, name, before[name], value)
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("the series %s is missing", name)
		}
	}
}
