package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/peers"
	"gcp-metadata-emulator/server/records"
)

// join adds a replica that a handler plays.
func (o oneOf) join(t *testing.T, name string, handle http.HandlerFunc) {
	t.Helper()
	web := httptest.NewServer(handle)
	t.Cleanup(web.Close)
	o.commit(t, records.Change{Put: []records.Entry{{Name: "members/" + name, Value: []byte(web.URL)}}})
}

// unanswered returns the reasons of an answer by the names of the replicas.
func (g gathered) unanswered() map[string]string {
	reasons := map[string]string{}
	for _, one := range g.Unanswered {
		reasons[one.Name] = one.Reason
	}
	return reasons
}

// Journals that are too large together are left out by name, and a limit makes room for all of them.
func TestJournalsTogetherHaveASize(t *testing.T) {
	t.Parallel()
	const others, size = 12, 2000
	one := newKnown(t, 1)[0]
	for i := range others {
		name := "x" + strconv.Itoa(i)
		one.join(t, name, func(w http.ResponseWriter, r *http.Request) {
			count := size
			if limit := r.URL.Query().Get("limit"); limit != "" {
				count, _ = strconv.Atoi(limit)
			}
			list := strings.TrimSuffix(strings.Repeat(`{"sequence": 1, "route": "mds.metadata", "path": "`+strings.Repeat("x", 1000)+`"},`, count), ",")
			text := fmt.Sprintf(`{"replica": %q, "requests": [%s], "count": %d}`, name, list, size)
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			_, _ = io.WriteString(w, text)
		})
	}
	whole := one.gather(t, "requests?replica=all")
	if len(whole.Requests) != 7*size || whole.Count != 7*size {
		t.Errorf("%d of %d requests are in an answer of limited size", len(whole.Requests), whole.Count)
	}
	if reasons := whole.unanswered(); len(reasons) != 5 {
		t.Errorf("these have not answered: %v", reasons)
	}
	for name, reason := range whole.unanswered() {
		if !strings.HasPrefix(reason, "the answers of all replicas are larger than 16 MiB together") {
			t.Errorf("%s has not answered, because %s", name, reason)
		}
	}
	few := one.gather(t, "requests?replica=all&limit=3")
	if len(few.Requests) != 3 || few.Count != others*size || len(few.Unanswered) > 0 {
		t.Errorf("with a limit: %d of %d requests, and %v have not answered", len(few.Requests), few.Count, few.unanswered())
	}
	for _, finding := range one.gather(t, "explain?replica=all").Findings {
		if strings.Contains(finding.Sentence, "are left out, because the replicas are many") {
			return
		}
	}
	t.Error("explain does not say that it leaves requests out")
}

// Questions to replicas do not wait for each other, so a page takes no longer than a hanging replica.
func TestQuestionsAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	for path, questions := range map[string]int{"/emulator/v1/explain?replica=all": 2, "/emulator/?replica=all": 4} {
		one := newKnown(t, 1)[0]
		var mu sync.Mutex
		asked, all := 0, make(chan struct{})
		one.join(t, "x", func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if asked++; asked == questions {
				close(all)
			}
			mu.Unlock()
			select {
			case <-all:
				_, _ = io.WriteString(w, `{"replica": "x", "instances": [{"instance": "full-vm", "count": 41, "since": "2026-11-21T12:00:00Z"}], "count": 41}`)
			case <-r.Context().Done():
			}
		})
		shown := one.ok(t, http.MethodGet, local+path, "")
		if asked != questions || !strings.Contains(shown, "41 requests wait for a change of the metadata of instance") {
			t.Errorf("%s: %d questions: %s", path, asked, shown)
		}
	}
}

// A replica is asked only for its own state. Neither its record nor a question of another replica can change
// this.
func TestQuestionsAreNotPassedOn(t *testing.T) {
	t.Parallel()
	all := newKnown(t, 2)
	for name, url := range map[string]string{"path": all[0].URL + "/emulator/v1/waiters?replica=all#", "query": all[0].URL + "?replica=all&x=", "user": "http://me:s3cret@x"} {
		all[0].commit(t, records.Change{Put: []records.Entry{{Name: "members/" + name, Value: []byte(url)}}})
	}
	if diff := cmp.Diff(map[string]string{
		"path": "its URL cannot be used: it has a path", "query": "its URL cannot be used: it has a query",
		"user": "its URL cannot be used: it has a user name or a password, which everybody would see who lists the replicas",
	}, all[1].gather(t, "waiters?replica=all").unanswered()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, choice := range []string{"all", all[0].shared.Name(), all[1].shared.Name()} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, local+"/emulator/v1/waiters?replica="+choice, http.NoBody)
		request.Header.Set(peers.Marker, "b")
		answer := httptest.NewRecorder()
		all[0].ServeHTTP(answer, request)
		if answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), `the replica \"b\" may ask this one for its own answer alone`) {
			t.Errorf("replica=%s: status %d: %s", choice, answer.Code, answer.Body)
		}
	}
}

// Any replica clears the journals of all or of a single replica, and names the replicas with uncleared
// journals.
func TestJournalsAreCleared(t *testing.T) {
	t.Parallel()
	all := newKnown(t, 3)
	left := func() string { return all[0].gather(t, "requests?replica=all").names() }
	erase := func(query string) string {
		return all[1].ok(t, http.MethodDelete, local+"/emulator/v1/requests"+query, "")
	}
	recordAtAll(t, all)
	erase("?replica=" + all[2].shared.Name())
	if got := left(); got != "a1 b1 a2 b2 b3" {
		t.Errorf("after c's journal was cleared: %s", got)
	}
	erase("")
	if got := left(); got != "a1 a2" {
		t.Errorf("after b's journal was cleared: %s", got)
	}
	recordAtAll(t, all)
	all[0].commit(t, records.Change{Put: []records.Entry{{Name: "members/dead", Value: []byte("http://127.0.0.1:1")}}})
	if said := erase("?replica=all"); left() != "" || !strings.Contains(said, `"name": "dead"`) || !strings.Contains(said, "it cannot be reached") {
		t.Errorf("after all journals were cleared: %s; %s", left(), said)
	}
	if one := all[1].ask(t.Context(), http.MethodDelete, local+"/emulator/v1/requests?replica=dead", ""); one.Code != http.StatusServiceUnavailable {
		t.Errorf("the dead one: status %d: %s", one.Code, one.Body)
	}
}
