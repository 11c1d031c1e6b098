package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/world/worldtest"
)

// oneOf is an emulator of a test that shares its world with others.
type oneOf struct {
	*emulatortest.Emulator

	link   *recordstest.Replica
	shared *replica.Replica
}

// newReplicas starts emulators that share the world of fixture.yaml.
func newReplicas(t *testing.T, count int) []oneOf {
	t.Helper()
	return newReplicasOf(t, count, 0)
}

// newReplicasOf is newReplicas with a time for which the replicas wait for others.
func newReplicasOf(t *testing.T, count int, grace time.Duration) []oneOf {
	t.Helper()
	memory := recordstest.New()
	all := make([]oneOf, count)
	for i := range all {
		link := memory.Join()
		ring := worldtest.Ring(func() time.Time { return all[0].Clock.Now() }) // keys are shared by their own test
		if i > 0 {
			ring = all[0].Keys
		}
		all[i].link = link
		all[i].Emulator = emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
			all[i].shared = share(t, config, replica.Config{Host: string(rune('a' + i)), Store: link, Grace: grace})
			config.Keys, config.ReplicaTimeout = ring, time.Minute
		})
	}
	return all
}

const (
	nameOfAttribute = "/emulator/v1/instances/full-vm/metadata/instance/attributes/told"
	guestAttribute  = "http://full-vm/computeMetadata/v1/instance/guest-attributes/ns/told"
)

// ask sends a request to a replica.
func (o oneOf) ask(ctx context.Context, method, url, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	request.Header.Set("Metadata-Flavor", "Google")
	request.Header.Set("Authorization", "Bearer of-anybody") // policies are not enforced
	recorder := httptest.NewRecorder()
	o.ServeHTTP(recorder, request)
	return recorder
}

// ok is ask for an answer that must be a success.
func (o oneOf) ok(t *testing.T, method, url, body string) string {
	t.Helper()
	got := o.ask(t.Context(), method, url, body)
	text, _ := io.ReadAll(got.Body)
	if got.Code != http.StatusOK {
		t.Fatalf("%s %s: status %d: %s", method, url, got.Code, text)
	}
	return string(text)
}

// local is the address of the control plane in these tests.
const local = "http://localhost"

func TestReplicasShareWhatChanges(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	a, b, c := all[0], all[1], all[2]
	const wait = "http://full-vm/computeMetadata/v1/instance/attributes/?recursive=true&wait_for_change=true"
	woken := make(chan string, 1)
	go func() { woken <- c.ask(t.Context(), http.MethodGet, wait, "").Body.String() }()
	if err := c.AwaitWaiter(t.Context(), func(mds.Waiter) bool { return true }); err != nil {
		t.Fatal(err)
	}
	a.ok(t, http.MethodPut, local+nameOfAttribute, `{"value": "by a"}`)
	select {
	case got := <-woken:
		if !strings.Contains(got, "by a") {
			t.Errorf("the waiter got %s", got)
		}
	case <-t.Context().Done():
	}
	b.ok(t, http.MethodPut, guestAttribute, "by b")
	if got := a.ok(t, http.MethodGet, guestAttribute, ""); got != "by b" {
		t.Errorf("the guest attribute of another replica is %q", got)
	}
	c.ok(t, http.MethodPost, local+"/emulator/v1/reset", "")
	for _, one := range all {
		if got := one.ask(t.Context(), http.MethodGet, guestAttribute, "").Code; got != http.StatusNotFound {
			t.Errorf("after the reset of a replica, another answers with status %d", got)
		}
	}
}

// Without the store, a replica answers requests without changes, and refuses the rest with a reason.
func TestReplicaWithoutItsStore(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 2)
	a, b := all[0], all[1]
	b.link.Cut()
	a.ok(t, http.MethodPut, local+nameOfAttribute, `{"value": "by a"}`)
	b.ok(t, http.MethodGet, "http://full-vm/computeMetadata/v1/instance/name", "")
	const why = "the store that the replicas share does not answer"
	for _, test := range []struct{ method, url, body, want string }{
		{http.MethodPut, local + nameOfAttribute, `{"value": "by b"}`, why},
		{http.MethodPut, guestAttribute, "by b", "Service Unavailable"},
		{http.MethodPost, "http://iam.googleapis.com/v1/projects/demo-project/roles", `{"roleId": "made"}`, "UNAVAILABLE"},
		{http.MethodPost, local + "/emulator/v1/reset", "", "hint: see that the servers of --store run"},
	} {
		got := b.ask(t.Context(), test.method, test.url, test.body)
		if got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), test.want) {
			t.Errorf("%s %s: status %d: %s", test.method, test.url, got.Code, got.Body)
		}
		if strings.Contains(test.url, "/emulator/") {
			continue // the journal does not have requests that drive the emulator
		}
		list := b.Journal.Since(0).Exchanges
		if last := list[len(list)-1]; last.Code != "store-unreachable" || !strings.Contains(last.Reason, why) {
			t.Errorf("%s %s: the journal says %q, %q", test.method, test.url, last.Code, last.Reason)
		}
	}
	b.link.Connect()
	b.ok(t, http.MethodPut, local+nameOfAttribute, `{"value": "by b again"}`)
	if got := a.ok(t, http.MethodGet, "http://full-vm/computeMetadata/v1/instance/attributes/told", ""); got != "by b again" {
		t.Errorf("the other replica has %q", got)
	}
}

// at is ask of the control plane. The answer must be a success.
func (o oneOf) at(t *testing.T, method, path, body string) {
	t.Helper()
	o.ok(t, method, local+"/emulator/v1/"+path, body)
}

// post sends a form.
func (o oneOf) post(t *testing.T, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	got := emulatortest.Post(t.Context(), o.Server, path, form)
	var answer map[string]any
	_ = json.Unmarshal(got.Body.Bytes(), &answer)
	return got.Code, answer
}

// newCode returns a form that exchanges a new code.
func (o oneOf) newCode(t *testing.T) url.Values {
	t.Helper()
	redirect := emulatortest.Ask(t.Context(), o.Server, "/o/oauth2/auth?client_id=x&response_type=code&access_type=offline&redirect_uri=http://localhost/&scope=email")
	location := emulatortest.Must[*url.URL](t)(url.Parse(redirect.Header().Get("Location")))
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"x"}, "redirect_uri": {"http://localhost/"}, "code": {location.Query().Get("code")},
	}
}

func TestReplicasShareCodesAndTokens(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	a, b, c := all[0], all[1], all[2]

	// If all replicas exchange the same code, exactly one exchange succeeds.
	code := a.newCode(t)
	var spent atomic.Int32
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			if status, _ := all[i%len(all)].post(t, "/token", code); status == http.StatusOK {
				spent.Add(1)
			}
		})
	}
	if group.Wait(); spent.Load() != 1 {
		t.Errorf("%d exchanges of one code succeeded", spent.Load())
	}

	_, tokens := b.post(t, "/token", a.newCode(t))
	access, _ := tokens["access_token"].(string)
	info := "/tokeninfo?access_token=" + url.QueryEscape(access)
	if got := emulatortest.Ask(t.Context(), c.Server, info).Code; got != http.StatusOK {
		t.Fatalf("a token of another replica has status %d", got)
	}
	if status, _ := a.post(t, "/revoke", url.Values{"token": {access}}); status != http.StatusOK {
		t.Fatalf("the revocation has status %d", status)
	}
	if got := emulatortest.Ask(t.Context(), c.Server, info).Code; got != http.StatusBadRequest {
		t.Errorf("a token that was revoked elsewhere has status %d", got)
	}

	// A device asks at the first replica, a person decides at the second, and the device polls at the
	// third.
	_, device := a.post(t, "/device/code", url.Values{"client_id": {"x"}, "scope": {"email"}})
	poll := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"x"}, "device_code": {device["device_code"].(string)}}
	if status, _ := c.post(t, "/token", poll); status != http.StatusPreconditionRequired {
		t.Errorf("before the decision, a poll has status %d", status)
	}
	if status, _ := b.post(t, "/device", url.Values{"user_code": {device["user_code"].(string)}}); status != http.StatusOK {
		t.Errorf("the decision has status %d", status)
	}
	if status, _ := c.post(t, "/token", poll); status != http.StatusOK {
		t.Errorf("after the decision, a poll has status %d", status)
	}
	if status, _ := a.post(t, "/token", poll); status != http.StatusBadRequest {
		t.Errorf("a second exchange of the device code has status %d", status)
	}

	b.at(t, http.MethodPost, "reset", "")
	if got := emulatortest.Ask(t.Context(), c.Server, info).Code; got != http.StatusOK {
		t.Errorf("after a reset, the token has status %d", got)
	}
}

func TestReplicasShareTheClock(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	all[0].at(t, http.MethodPut, "clock", `{"now": "2030-01-01T00:00:00Z", "frozen": true}`)
	all[1].at(t, http.MethodPost, "clock:advance", `{"duration": "1h"}`)
	for _, one := range all {
		if got := one.Clock.Now(); !got.Equal(time.Date(2030, 1, 1, 1, 0, 0, 0, time.UTC)) {
			t.Errorf("the time is %v", got)
		}
	}
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() { all[i%len(all)].at(t, http.MethodPost, "clock:advance", `{"duration": "1m"}`) })
	}
	group.Wait()
	all[2].at(t, http.MethodPut, "clock", `{"frozen": false}`)
	for _, one := range all {
		if got := one.Clock.Now().Sub(time.Date(2030, 1, 1, 1, 30, 0, 0, time.UTC)); got < 0 || got > time.Minute {
			t.Errorf("after 30 advances, the time is %v later", got)
		}
	}
	all[0].at(t, http.MethodPost, "reset", "")
	for _, one := range all {
		if !one.Clock.FollowsMachine() {
			t.Error("after a reset, a clock does not follow the machine's")
		}
	}
}

// Faults strike in every replica, and each replica counts its own requests.
func TestReplicasShareFaults(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	const name = "http://full-vm/computeMetadata/v1/instance/name"
	all[0].at(t, http.MethodPost, "faults", `{"route": "mds.metadata", "status": 503, "times": 1}`)
	for i, one := range all {
		for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
			if got := one.ask(t.Context(), http.MethodGet, name, "").Code; got != want {
				t.Errorf("replica %d answers with status %d, want %d", i, got, want)
			}
		}
	}
	var group sync.WaitGroup
	for i := range 9 {
		group.Go(func() { all[i%len(all)].at(t, http.MethodPost, "faults", `{"route": "sts.*", "status": 503}`) })
	}
	group.Wait()
	ids := map[string]bool{}
	for _, one := range all[1].Faults.List() {
		ids[one.ID] = true
	}
	if len(ids) != 10 {
		t.Errorf("the IDs of ten faults are %v", ids)
	}
	all[1].at(t, http.MethodDelete, "faults/1", "")
	if got := all[2].ask(t.Context(), http.MethodDelete, local+"/emulator/v1/faults/1", "").Code; got != http.StatusNotFound {
		t.Errorf("a second removal has status %d", got)
	}
	all[1].at(t, http.MethodDelete, "faults/10", "")
	isNext := func(want string) {
		all[1].at(t, http.MethodPost, "faults", `{"route": "sts.*", "status": 503}`)
		if list := all[0].Faults.List(); list[len(list)-1].ID != want {
			t.Errorf("the newest fault is %q, want %q: a late removal would remove it", list[len(list)-1].ID, want)
		}
	}
	isNext("11")
	all[2].at(t, http.MethodPost, "reset", "")
	for _, one := range all {
		if got := one.Faults.List(); len(got) > 0 {
			t.Errorf("after a reset, there are %d faults", len(got))
		}
	}
	isNext("12")
}

// await waits for a condition.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(what)
		}
	}
}

// value returns a metadata value of an instance.
func (o oneOf) value(t *testing.T, instance, path string) string {
	t.Helper()
	return o.ok(t, http.MethodGet, "http://"+instance+"/computeMetadata/v1/instance/"+path, "")
}

// A reset that the store does not take leaves everything as it was.
func TestRefusedResetForgetsNothing(t *testing.T) {
	t.Parallel()
	one := newReplicas(t, 1)[0]
	const path = "http://full-vm/computeMetadata/v1/instance/service-accounts/default/token"
	before := one.ok(t, http.MethodGet, path, "")
	one.link.Cut()
	if got := one.ask(t.Context(), http.MethodPost, local+"/emulator/v1/reset", "").Code; got != http.StatusServiceUnavailable {
		t.Errorf("the reset has status %d", got)
	}
	if list := one.ok(t, http.MethodGet, local+"/emulator/v1/requests", ""); !strings.Contains(list, "default/token") {
		t.Errorf("after the refused reset, the journal is %s", list)
	}
	token := func(text string) string { return text[:strings.Index(text, `","`)] }
	if after := one.ok(t, http.MethodGet, path, ""); token(after) != token(before) {
		t.Errorf("after the refused reset, the token is %s, was %s", after, before)
	}
	one.link.Connect()
	one.at(t, http.MethodPost, "reset", "")
	if list := one.ok(t, http.MethodGet, local+"/emulator/v1/requests", ""); strings.Contains(list, "default/token") {
		t.Errorf("after the reset, the journal is %s", list)
	}
}
