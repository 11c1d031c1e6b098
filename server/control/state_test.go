package control_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// If a replaced world changes a value, the requests that wait for it wake. An invalid fixture, or
// an equal world, wakes no request.
func TestReplacedStateWakesWhomItConcerns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		const world = `instances: [{name: vm, metadata: {instance: {attributes: {role: web, other: old}}}}]`
		put := func(text string, want int) {
			t.Helper()
			if got := emulatortest.Send(t.Context(), s, http.MethodPut, "/emulator/v1/state", text); got.Code != want {
				t.Fatalf("status %d: %s", got.Code, got.Body)
			}
		}
		put(world, http.StatusOK)
		woken := map[string]chan string{}
		for _, name := range []string{"role", "other"} {
			answer := make(chan string, 1)
			woken[name] = answer
			go func() {
				answer <- emulatortest.Ask(t.Context(), s, "/computeMetadata/v1/instance/attributes/"+name+"?wait_for_change=true").Body.String()
			}()
		}
		isWoken := func() string {
			synctest.Wait()
			var names []string
			for _, name := range []string{"role", "other"} {
				if len(woken[name]) > 0 {
					names = append(names, name)
				}
			}
			return strings.Join(names, " ")
		}
		synctest.Wait()
		put(world, http.StatusOK)
		put(strings.Replace(world, "name", "names", 1), http.StatusBadRequest)
		if got := isWoken(); got != "" {
			t.Fatalf("%s is woken by nothing", got)
		}
		put(strings.Replace(world, "web", "db", 1), http.StatusOK)
		if got := isWoken(); got != "role" {
			t.Errorf("woken is %q", got)
		}
		s.Reset()
		if got := isWoken(); got != "role other" {
			t.Errorf("after a reset, woken are %q", got)
		}
		if role := <-woken["role"]; role != "db" {
			t.Errorf("role is %q", role)
		}
	})
}

// A state that is loaded into another emulator gives the same answers.
func TestStateIsTheSameElsewhere(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"application/json", "application/yaml"} {
		one, other := emulatortest.New(t), emulatortest.NewOf(t, emulatortest.StrictFixture(t), func(*server.Config) {})
		edits := map[string]string{"attributes/new": `{"value": "v"}`, "tags": `{"value": ["a"]}`}
		for path, value := range edits {
			if got := emulatortest.Send(t.Context(), one.Server, http.MethodPut, "/emulator/v1/instances/-/metadata/instance/"+path, value); got.Code != http.StatusOK {
				t.Fatal(got.Body)
			}
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/emulator/v1/state", http.NoBody)
		request.Header.Set("Accept", accept)
		state := httptest.NewRecorder()
		one.ServeHTTP(state, request)
		if got := emulatortest.Send(t.Context(), other.Server, http.MethodPut, "/emulator/v1/state", state.Body.String()); got.Code != http.StatusOK {
			t.Fatal(got.Body)
		}
		for _, path := range []string{"/computeMetadata/v1/?recursive=true", "/computeMetadata/v1/?recursive=true&alt=text", "/emulator/v1/state"} {
			if before, after := emulatortest.Ask(t.Context(), one.Server, path).Body.String(), emulatortest.Ask(t.Context(), other.Server, path).Body.String(); before != after {
				t.Errorf("%s: %s\nand elsewhere %s", path, before, after)
			}
		}
	}
}
