package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/script"
)

// newKnown starts emulators that share their world and know each other: a, b and so on.
func newKnown(t *testing.T, count int) []oneOf {
	t.Helper()
	all := newReplicas(t, count)
	for _, one := range all {
		one.shared.Announce(t.Context(), one.URL)
	}
	await(t, "the replicas know each other", func() bool { return len(all[0].shared.Members()) == count })
	return all
}

// gathered is an answer about several replicas.
type gathered struct {
	Requests []struct {
		Sequence uint64    `json:"sequence"`
		Time     time.Time `json:"time"`
		Path     string    `json:"path"`
		Replica  string    `json:"replica"`
	} `json:"requests"`
	Count  int     `json:"count"`
	Last   *uint64 `json:"last"`
	Faults []struct {
		Requests int `json:"requests"`
		Hits     int `json:"hits"`
		Replicas []struct {
			Name     string `json:"name"`
			Requests int    `json:"requests"`
			Hits     int    `json:"hits"`
		} `json:"replicas"`
	} `json:"faults"`
	Waiters []struct {
		Replica string `json:"replica"`
	} `json:"waiters"`
	Findings []struct {
		Rule     string   `json:"rule"`
		Sentence string   `json:"sentence"`
		Requests []uint64 `json:"requests"`
		Evidence []struct {
			Replica  string   `json:"replica"`
			Requests []uint64 `json:"requests"`
		} `json:"evidence"`
	} `json:"findings"`
	Replica  string `json:"replica"`
	Replicas []struct {
		URL string `json:"url"`
	} `json:"replicas"`
	Unanswered []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"unanswered"`
	Alone bool `json:"alone"`
}

// gather asks the control plane of a replica. The answer must be as described.
func (o oneOf) gather(t *testing.T, path string) (answer gathered) {
	t.Helper()
	text := o.ok(t, http.MethodGet, local+"/emulator/v1/"+path, "")
	emulatortest.Describe(t, o.Server).CheckExchange(t, "GET /emulator/v1/"+path+"\n\n", script.Answer{
		Status: http.StatusOK, Headers: []string{"Content-Type: application/json"}, Body: text,
	})
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// letter returns the letter with which a replica's name begins.
func letter(name string) string { return strings.SplitN(name, "-", 2)[0] }

// names returns which replica has recorded which request, in the order of the answer.
func (g gathered) names() string {
	var all []string
	for _, one := range g.Requests {
		all = append(all, fmt.Sprint(letter(one.Replica), one.Sequence))
	}
	return strings.Join(all, " ")
}

// recordAtAll makes replicas record requests at different times: a, b, c, a, b, c.
func recordAtAll(t *testing.T, all []oneOf) {
	t.Helper()
	all[0].at(t, http.MethodPut, "clock", `{"now": "2026-11-21T12:00:00Z", "frozen": true}`)
	for range 2 {
		for _, one := range all {
			one.value(t, "full-vm", "name")
			one.at(t, http.MethodPost, "clock:advance", `{"duration": "1m"}`)
		}
	}
	all[1].ask(t.Context(), http.MethodGet, "http://full-vm/computeMetadata/v1/instance/nothing", "")
}

func TestJournalsAreGathered(t *testing.T) {
	t.Parallel()
	all := newKnown(t, 3)
	recordAtAll(t, all)
	b := all[1].shared.Name()
	for query, want := range map[string]string{
		"replica=all":                     "a1 b1 c1 a2 b2 c2 b3",
		"":                                "b1 b2 b3",
		"replica=" + b:                    "b1 b2 b3",
		"replica=" + all[2].shared.Name(): "c1 c2",
		"replica=" + all[0].shared.Name() + "&before=2": "a1",
		"replica=" + all[0].shared.Name() + "&since=1":  "a2",
		"replica=all&limit=2":                           "c2 b3",
		"replica=all&status=4xx":                        "b3",
		"replica=all&since=2026-11-21T12:03:00Z":        "a2 b2 c2 b3",
		"replica=all&expect=7":                          "a1 b1 c1 a2 b2 c2 b3",
		"replica=all&limit=1&expect=>=7":                "b3",
	} {
		if got := all[1].gather(t, "requests?"+query).names(); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	whole := all[1].gather(t, "requests?replica=all")
	if whole.Count != 7 || whole.Last != nil || len(whole.Replicas) != 3 || whole.Replicas[0].URL != all[1].URL || len(whole.Unanswered) > 0 || whole.Alone {
		t.Errorf("the answer of all is %+v", whole)
	}
	if own := all[1].gather(t, "requests"); own.Replica != b || own.Last == nil || *own.Last != 3 {
		t.Errorf("the answer of one is %+v", own)
	}
	for query, want := range map[string]struct {
		status int
		says   string
	}{
		"replica=z":            {http.StatusNotFound, `there is no replica \"z\"; use \"all\", or one of: a-`},
		"replica=all&since=1":  {http.StatusBadRequest, `give \"since\" a time`},
		"replica=all&before=9": {http.StatusBadRequest, `leave out \"before\"`},
		"replica=all&expect=8": {http.StatusPreconditionFailed, "expected 8, found 7 for \\\"replica=all&expect=8\\\"; requests by replica: "},
		"replica=" + all[2].shared.Name() + "&expect=9": {http.StatusPreconditionFailed, "requests by replica: " + all[2].shared.Name() + " 2\""},
		"replica=all&replica=b":                         {http.StatusBadRequest, "is given 2 times"},
		"replica=":                                      {http.StatusBadRequest, "has no value"},
	} {
		got := all[1].ask(t.Context(), http.MethodGet, local+"/emulator/v1/requests?"+query, "")
		if got.Code != want.status || !strings.Contains(got.Body.String(), want.says) {
			t.Errorf("%q: status %d: %s", query, got.Code, got.Body)
		}
	}
}

// Faults' counts, waiting requests and explanations are gathered too.
func TestWhatEachReplicaHasIsGathered(t *testing.T) {
	t.Parallel()
	all := newKnown(t, 3)
	all[0].at(t, http.MethodPost, "faults", `{"route": "mds.metadata", "status": 503, "times": 1, "match": {"path": "*/instance/name"}}`)
	for _, at := range []int{0, 1, 1} {
		all[at].ask(t.Context(), http.MethodGet, "http://full-vm/computeMetadata/v1/instance/name", "")
	}
	counts := all[2].gather(t, "faults?replica=all").Faults
	if len(counts) != 1 || counts[0].Requests != 3 || counts[0].Hits != 2 || len(counts[0].Replicas) != 3 {
		t.Fatalf("the faults are %+v", counts)
	}
	for _, one := range counts[0].Replicas {
		want := map[string]string{"a": "1 1", "b": "2 1", "c": "0 0"}[letter(one.Name)]
		if got := fmt.Sprint(one.Requests, " ", one.Hits); got != want {
			t.Errorf("replica %s has counted %s, want %s", one.Name, got, want)
		}
	}
	if one := all[2].gather(t, "faults?replica="+all[1].shared.Name()).Faults[0]; one.Requests != 2 || one.Replicas != nil {
		t.Errorf("the fault of b is %+v", one)
	}

	go all[1].ask(t.Context(), http.MethodGet, "http://full-vm/computeMetadata/v1/instance/tags?wait_for_change=true", "")
	if err := all[1].AwaitWaiter(t.Context(), func(mds.Waiter) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if got := all[0].gather(t, "waiters?replica=all").Waiters; len(got) != 1 || letter(got[0].Replica) != "b" {
		t.Errorf("the waiters are %+v", got)
	}

	rules := map[string]string{}
	for _, finding := range all[2].gather(t, "explain?replica=all").Findings {
		var shown []string
		for _, one := range finding.Evidence {
			shown = append(shown, letter(one.Replica)+fmt.Sprint(one.Requests))
		}
		rules[finding.Rule] = strings.Join(shown, " ")
	}
	if rules["fault"] != "a[1] b[1]" {
		t.Errorf("the findings are %v", rules)
	}
}

// A replica that does not answer as it should is named, and takes nothing from the others.
func TestReplicasThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	all := newKnown(t, 3)
	recordAtAll(t, all)
	serve := func(handle http.HandlerFunc) string {
		web := httptest.NewServer(handle)
		t.Cleanup(web.Close)
		return web.URL
	}
	const dead = "http://127.0.0.1:1" // nothing listens there
	members := map[string]string{
		"dead":    dead,
		"garbage": serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\x00{") }),
		"unfit": serve(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"replica": "unfit", "requests": 7}`)
		}),
		"redirect": serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, all[0].URL+r.RequestURI, http.StatusFound)
		}),
		"huge": serve(func(w http.ResponseWriter, _ *http.Request) {
			for block := strings.Repeat("x", 1<<20); ; {
				if _, err := io.WriteString(w, block); err != nil {
					return
				}
			}
		}),
		"twin": all[0].URL,
	}
	for name, url := range members {
		all[0].commit(t, records.Change{Put: []records.Entry{{Name: "members/" + name, Value: []byte(url)}}})
	}
	got, reasons := all[2].gather(t, "requests?replica=all"), map[string]string{}
	if got.names() != "a1 b1 c1 a2 b2 c2 b3" {
		t.Errorf("the requests are %s", got.names())
	}
	for _, one := range got.Unanswered {
		reasons[one.Name], _, _ = strings.Cut(one.Reason, ":")
	}
	if diff := cmp.Diff(map[string]string{
		"dead": "it cannot be reached", "garbage": "its answer is not one of a replica of this version", "huge": "its answer is larger than 8 MiB",
		"redirect": "it answered with status 302", "twin": fmt.Sprintf("another replica answers at its URL, %q", all[0].shared.Name()),
		"unfit": "its answer is not one of a replica of this version",
	}, reasons); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for query, status := range map[string]int{
		"expect=>=7": http.StatusOK, "expect=7": http.StatusPreconditionFailed, "expect=<7": http.StatusPreconditionFailed,
	} {
		asked := all[2].ask(t.Context(), http.MethodGet, local+"/emulator/v1/requests?replica=all&"+query, "")
		if asked.Code != status || status != http.StatusOK && !strings.Contains(asked.Body.String(), "dead has not answered") {
			t.Errorf("%s: status %d: %s", query, asked.Code, asked.Body)
		}
	}
	one := all[2].ask(t.Context(), http.MethodGet, local+"/emulator/v1/requests?replica=dead", "")
	if one.Code != http.StatusServiceUnavailable || !strings.Contains(one.Body.String(), `the replica \"dead\" at \"`+dead+`\" has not answered`) {
		t.Errorf("of the dead one: status %d: %s", one.Code, one.Body)
	}
}

// commit changes the records that the replicas share.
func (o oneOf) commit(t *testing.T, change records.Change) {
	t.Helper()
	if err := o.link.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// The address for other replicas has nothing else, leaves them no choice of replicas, and refuses the same requests as the control plane.
func TestServePeers(t *testing.T) {
	t.Parallel()
	one := newKnown(t, 1)[0]
	port, stop := listening(t, one.ServePeers)
	defer stop()
	address := net.JoinHostPort("127.0.0.1", port)
	for operation, want := range map[string]int{
		"GET /emulator/v1/requests": http.StatusOK, "GET /emulator/v1/faults": http.StatusOK, "GET /emulator/v1/waiters": http.StatusOK,
		"DELETE /emulator/v1/requests": http.StatusOK, "POST /emulator/v1/faults": http.StatusNotFound,
		"GET /emulator/v1/requests?replica=all": http.StatusBadRequest, "DELETE /emulator/v1/requests?replica=all": http.StatusBadRequest,
		"GET /emulator/v1/waiters?replica=all": http.StatusBadRequest, "GET /emulator/v1/faults?replica=all": http.StatusBadRequest,
		"POST /emulator/v1/tokens": http.StatusNotFound, "GET /emulator/v1/state": http.StatusNotFound, "GET /emulator/": http.StatusNotFound,
		"GET /computeMetadata/v1/instance/name": http.StatusNotFound,
	} {
		if got := emulatortest.StatusAt(t, address, operation); got != want {
			t.Errorf("%s: status %d, want %d", operation, got, want)
		}
	}
	for name, value := range map[string]string{"Host": "rebound.example.com", "Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"} {
		if got := emulatortest.StatusAt(t, address, "GET /emulator/v1/requests", name, value); got != http.StatusForbidden {
			t.Errorf("%s: status %d", name, got)
		}
	}
}
