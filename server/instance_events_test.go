package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/world/worldtest"
)

// read returns the metadata at a path, and its ETag.
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

// Clients that wait for different entries get their answers in the order and at the times that
// Google documents, and each only when its own entry changes.
func TestEventsWakeWaitersInOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		event event.Event
		paths []string
		want  []string
	}{
		"live migration": {
			event.Event{Type: fixtures.LiveMigrate, In: fixtures.Duration(10 * time.Second)},
			[]string{"maintenance-event", "virtual-clock/drift-token", "preempted"},
			[]string{
				"10s maintenance-event MIGRATE_ON_HOST_MAINTENANCE",
				"1m20s maintenance-event NONE", "1m20s virtual-clock/drift-token 1",
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
				s := emulatortest.Unserved(t, "instances: [{name: vm, metadata: {instance: {shutdownDetails: {stopState: UNSPECIFIED}}}}]")
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
				emulatortest.Must[event.Playing](t)(s.Events.Play("vm", test.event))
				time.Sleep(time.Hour)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				slices.Sort(woken) // the order within one moment is the subject of TestEveryStateIsSeen
				if diff := cmp.Diff(test.want, woken); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// crowd is a number of clients that wait for the same entry. No client must miss a value.
type crowd struct {
	answered [20]chan string
}

func (c *crowd) hang(get func() string) {
	for i := range c.answered {
		c.answered[i] = make(chan string, 1)
		go func() { c.answered[i] <- get() }()
	}
}

func (c *crowd) got(t *testing.T, want string) {
	t.Helper()
	for _, answered := range c.answered {
		if got := <-answered; got != want {
			t.Fatalf("the answer is %q, want %q", got, want)
		}
	}
}

// However far the clock advances at once, no waiting client misses a value that lasted for a part of
// this time, and a client with a timeout gets the values that the same advance brings.
func TestAdvancingHidesNoEvent(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"maintenance-event?wait_for_change=true":                "MIGRATE_ON_HOST_MAINTENANCE",
		"maintenance-event?wait_for_change=true&timeout_sec=60": "MIGRATE_ON_HOST_MAINTENANCE",
		"maintenance-event?wait_for_change=true&timeout_sec=5":  "MIGRATE_ON_HOST_MAINTENANCE",
		"attributes/phase?wait_for_change=true":                 "late",
		"tags?wait_for_change=true&timeout_sec=700":             "[]", // unchanged
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := emulatortest.Unserved(t, `
instances:
  - name: vm
    metadata: {instance: {attributes: {phase: early}}}
    scenario:
      - {at: 10s, event: live-migrate}
      - {at: 20s, set: {instance/attributes/phase: late}}
      - {at: 20s, set: {instance/attributes/phase: early}}
`)
				s.Clock.Freeze()
				var clients crowd
				clients.hang(func() string {
					body, _ := read(t, s, query)
					return body
				})
				synctest.Wait()
				if err := s.Clock.Advance(time.Hour); err != nil {
					t.Fatal(err)
				}
				clients.got(t, want)
			})
		})
	}
}

// A client that waits for the whole instance, and returns with the ETag of its last answer, sees
// each state of an event, in order.
func TestEveryStateIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "instances: [{name: vm}]")
		begun := time.Now()
		var seen []string
		go func() {
			var state struct {
				MaintenanceEvent string `json:"maintenanceEvent"`
				VirtualClock     struct {
					DriftToken string `json:"driftToken"`
				} `json:"virtualClock"`
			}
			for etag := "0"; t.Context().Err() == nil; {
				var body string
				body, etag = read(t, s, "?recursive=true&wait_for_change=true&last_etag="+etag)
				if err := json.Unmarshal([]byte(body), &state); err != nil {
					t.Error(err)
				}
				seen = append(seen, fmt.Sprint(time.Since(begun), " ", state.MaintenanceEvent, " ", state.VirtualClock.DriftToken))
			}
		}()
		synctest.Wait()
		emulatortest.Must[event.Playing](t)(s.Events.Play("vm", event.Event{Type: fixtures.LiveMigrate}))
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []string{"0s NONE 0", "0s MIGRATE_ON_HOST_MAINTENANCE 0", "1m10s MIGRATE_ON_HOST_MAINTENANCE 1", "1m10s NONE 1"}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The answer to a waiting request has the date of the answer, not the date of the request.
func TestDateOfAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		dates := make(chan string, 2)
		wait := func() {
			dates <- emulatortest.Ask(t.Context(), s, "/computeMetadata/v1/instance/preempted?wait_for_change=true&timeout_sec=60").Header().Get("Date")
		}
		go wait() // the clock follows the machine's clock
		synctest.Wait()
		s.Clock.Freeze()
		if err := s.Clock.Set(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		if got := <-dates; got != "Tue, 01 Jan 2030 00:00:00 GMT" {
			t.Errorf("the Date is %s", got)
		}
		go wait()
		synctest.Wait()
		if err := s.Clock.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := <-dates; got != "Tue, 01 Jan 2030 01:00:00 GMT" {
			t.Errorf("an hour later, the Date is %s", got)
		}
		go wait()
		synctest.Wait()
		s.Reset()
		time.Sleep(time.Hour)
		if got := <-dates; got != "" {
			t.Errorf("the Date is %s, want none, because net/http sets it", got)
		}
	})
}

// The same over the wire, beside a client that does not read its answer and clients that wait for
// entries that do not change: they do not delay the others.
func TestEventsOverTheWire(t *testing.T) {
	t.Parallel()
	s := emulatortest.Unserved(t, "")
	s.Clock.Freeze()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener) }()
	base := "http://" + listener.Addr().String() + "/computeMetadata/v1/instance/"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	hanging := func(path string) func() string {
		return func() string {
			_, body := emulatortest.Fetch(t, client, base+path+"wait_for_change=true", "")
			return body
		}
	}
	deaf := emulatortest.Dial(t, listener.Addr().String())
	fmt.Fprint(deaf, "GET /computeMetadata/v1/instance/maintenance-event?wait_for_change=true HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n")
	var concerned, others crowd
	concerned.hang(hanging("maintenance-event?"))
	others.hang(hanging("tags?"))
	awaitWaiters(t, listener.Addr().String(), 41)

	emulatortest.Must[event.Playing](t)(s.Events.Play("", event.Event{Type: fixtures.LiveMigrate, In: fixtures.Duration(10 * time.Second)}))
	if err := s.Clock.Advance(10 * time.Minute); err != nil {
		t.Fatal(err)
	}
	concerned.got(t, "MIGRATE_ON_HOST_MAINTENANCE")
	awaitWaiters(t, listener.Addr().String(), 20)
	stop()
	others.got(t, "[]")
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// If several requests replace the world at the same time, by any method, the emulator plays only the
// scenario of the world that remains, once.
func TestWorldsAreReplacedOneByOne(t *testing.T) {
	t.Parallel()
	const scenario = "instances: [{name: %s, scenario: [{at: 1h, event: preempt}]}]"
	s := emulatortest.Unserved(t, fmt.Sprintf(scenario, "vm"))
	var all sync.WaitGroup
	for i := range 20 {
		name := fmt.Sprintf("vm-%d", i)
		other := worldtest.Parse(t, fmt.Sprintf(scenario, name))
		all.Go(func() {
			if got := emulatortest.Send(t.Context(), s, http.MethodPut, "/emulator/v1/state", fmt.Sprintf(scenario, name)); got.Code != http.StatusOK {
				t.Errorf("status %d: %s", got.Code, got.Body)
			}
		})
		all.Go(func() { s.Replace(other) })
		all.Go(func() { _ = s.Reset() })
	}
	all.Wait()
	list, name := s.Events.List(), s.World().State.DefaultInstance().Name
	if len(list) != 1 || list[0].Instance != name {
		t.Errorf("the instance is %s, and the emulator plays %+v", name, list)
	}
}

// When clock:advance returns, every due step has happened, and the next request finds it.
func TestEventsGoByTheClock(t *testing.T) {
	t.Parallel()
	s := emulatortest.Unserved(t, "")
	s.Clock.Freeze()
	emulatortest.Must[event.Playing](t)(s.Events.Play("", event.Event{Type: fixtures.Preempt, In: fixtures.Duration(time.Hour)}))
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

// A scenario starts with the emulator, and again after a reset or with another world. Events of the
// world before end.
func TestScenariosBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const scenario = "instances: [{name: vm, scenario: [{at: 10s, event: preempt}, {at: 1m, set: {instance/attributes/k: %s}}]}]"
		s := emulatortest.Unserved(t, fmt.Sprintf(scenario, "first"))
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
		emulatortest.Must[event.Playing](t)(s.Events.Play("vm", event.Event{Type: fixtures.LiveMigrate, In: fixtures.Duration(time.Minute)}))
		s.Replace(worldtest.Parse(t, fmt.Sprintf(scenario, "second")))
		is("after a reload", 0, "FALSE 404")
		is("1m after it", time.Minute, "TRUE second")
		if got, _ := read(t, s, "maintenance-event"); got != "NONE" {
			t.Errorf("an event of the previous world continues: %s", got)
		}
	})
}
