package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/world"
)

func parsedWorld(t *testing.T, yaml string) *world.World {
	t.Helper()
	f, err := fixtures.Parse("f.yaml", []byte(yaml), "")
	if err != nil {
		t.Fatal(err)
	}
	return world.New(f)
}

func newServer(t *testing.T, yaml string) *server.Server {
	t.Helper()
	emulated := clock.New(time.Now)
	s := server.New(server.Config{
		World: parsedWorld(t, yaml), Keys: keys.NewRing("", emulated.Now), Clock: emulated, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	t.Cleanup(s.Events.Clear)
	return s
}

// read is the metadata at a path and its ETag.
func read(t *testing.T, s *server.Server, path string) (body, etag string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/computeMetadata/v1/instance/"+path, http.NoBody)
	request.Header.Set("Metadata-Flavor", "Google")
	s.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		return strconv.Itoa(recorder.Code), ""
	}
	for name, values := range recorder.Header() {
		if strings.EqualFold(name, "ETag") { // spelled as Google spells it
			etag = values[0]
		}
	}
	return recorder.Body.String(), etag
}

// Clients that hang at different entries are woken in the order in which Google documents the
// changes, at their times, and each by its own alone.
func TestEventsWakeWaitersInOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		event event.Event
		paths []string
		want  []string
	}{
		"live migration": {
			event.Event{Type: fixtures.LiveMigrate, In: clock.Duration(10 * time.Second)},
			[]string{"maintenance-event", "virtual-clock/drift-token", "preempted"},
			[]string{
				"10s maintenance-event MIGRATE_ON_HOST_MAINTENANCE",
				"1m20s maintenance-event NONE", "1m20s virtual-clock/drift-token 1", // of one moment
			},
		},
		"preemption": {
			event.Event{Type: fixtures.Preempt},
			[]string{"preempted", "maintenance-event", "shutdown-details/stop-state"},
			[]string{"0s preempted TRUE", "30s shutdown-details/stop-state STOPPING"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, "instances: [{name: vm, metadata: {instance: {shutdownDetails: {stopState: UNSPECIFIED}}}}]")
				begun := time.Now()
				var mu sync.Mutex
				var woken []string
				for _, path := range test.paths {
					go func() {
						_, etag := read(t, s, path)
						for t.Context().Err() == nil {
							body, next := read(t, s, path+"?wait_for_change=true&last_etag="+etag)
							if next != etag {
								mu.Lock()
								woken = append(woken, fmt.Sprint(time.Since(begun), " ", path, " ", body))
								mu.Unlock()
							}
							etag = next
						}
					}()
				}
				synctest.Wait()
				must[event.Playing](t)(s.Events.Play("vm", test.event))
				time.Sleep(time.Hour)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if len(woken) == 3 && woken[1] > woken[2] {
					woken[1], woken[2] = woken[2], woken[1]
				}
				if diff := cmp.Diff(test.want, woken); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What was due is done when the clock has been advanced: the next request finds it.
func TestEventsGoByTheClock(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.Clock.Freeze()
	must[event.Playing](t)(s.Events.Play("", event.Event{Type: fixtures.Preempt, In: clock.Duration(time.Hour)}))
	for _, test := range []struct {
		advance time.Duration
		want    string
	}{{0, "FALSE"}, {time.Hour - 1, "FALSE"}, {1, "TRUE"}} {
		if err := s.Clock.Advance(test.advance); err != nil {
			t.Fatal(err)
		}
		if got, _ := read(t, s, "preempted"); got != test.want {
			t.Errorf("after %v more: %s, want %s", test.advance, got, test.want)
		}
	}
}

// A scenario begins with the emulator, and again when it is reset or gets another world; what
// was being played before ends.
func TestScenariosBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const scenario = "instances: [{name: vm, scenario: [{at: 10s, event: preempt}, {at: 1m, set: {instance/attributes/k: %s}}]}]"
		s := newServer(t, fmt.Sprintf(scenario, "first"))
		is := func(when string, after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			preempted, _ := read(t, s, "preempted")
			value, _ := read(t, s, "attributes/k")
			if got := preempted + " " + value; got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		is("at the start", 0, "FALSE 404")
		is("after 10s", 10*time.Second, "TRUE 404")
		s.Reset()
		is("after a reset", 9*time.Second, "FALSE 404")
		is("10s after it", time.Second, "TRUE 404")
		is("1m after it", 50*time.Second, "TRUE first")
		must[event.Playing](t)(s.Events.Play("vm", event.Event{Type: fixtures.LiveMigrate, In: clock.Duration(time.Minute)}))
		s.Replace(parsedWorld(t, fmt.Sprintf(scenario, "second")))
		is("after a reload", 0, "FALSE 404")
		is("1m after it", time.Minute, "TRUE second")
		if got, _ := read(t, s, "maintenance-event"); got != "NONE" {
			t.Errorf("an event of the world before is played: %s", got)
		}
	})
}
