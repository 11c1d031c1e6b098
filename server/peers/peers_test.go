package peers_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/peers"
)

// network answers requests without connections, by the host of the URL.
type network map[string]http.HandlerFunc

// RoundTrip implements http.RoundTripper.
func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	serve, ok := n[r.URL.Host]
	if !ok {
		return nil, errors.New("connection refused")
	}
	recorder := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(recorder, r)
	}()
	select {
	case <-done:
		return recorder.Result(), nil
	case <-r.Context().Done():
		<-done
		return nil, r.Context().Err()
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// A replica that does not answer as it should costs a second at most, whatever is wrong with it, and the
// others' answers are there.
func TestAsk(t *testing.T) {
	t.Parallel()
	var asked []string
	good := func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host+" "+r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Origin"))
		_, _ = io.WriteString(w, `{"replica": "good", "list": [1]}`)
	}
	world := network{
		"good": good, "also-good": says(`{"replica": "good"}`), "hangs": hangs, "garbage": says("\x00<html>"), "nameless": says(`{"list": []}`),
		"huge":    says(`{"replica": "huge", "list": "` + strings.Repeat("x", peers.MaxBytes) + `"}`),
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"leads-away": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://good/emulator/v1/requests", http.StatusFound)
		},
	}
	want := []struct{ name, url, says string }{
		{"good", "http://good", `{"replica": "good", "list": [1]}`},
		{"twin", "http://also-good", `another replica answers at its URL, "good": give each replica a URL of its own with --advertise`},
		{"hangs", "http://hangs", "it has not answered within 1s"},
		{"dead", "http://dead", "it cannot be reached: connection refused"},
		{"garbage", "http://garbage", "its answer is not one of a replica of this version"},
		{"nameless", "http://nameless", "its answer is not one of a replica of this version"},
		{"huge", "http://huge", "its answer is larger than 8 MiB"},
		{"refuses", "http://refuses", "it answered with status 403"},
		{"leads-away", "http://leads-away", "it answered with status 302"},
		{"silent", "", "it has no URL: start it with --advertise"},
		{"malformed", "http://[", `its URL cannot be used: missing ']' in host`},
	}
	synctest.Test(t, func(t *testing.T) {
		var of []peers.Replica
		for _, one := range want {
			of = append(of, peers.Replica{Name: one.name, URL: one.url})
		}
		group := peers.New(peers.Config{Own: "own", Transport: world})
		began := time.Now()
		answers := group.Ask(t.Context(), "/emulator/v1/requests?route=*", of)
		if took := time.Since(began); took != time.Second {
			t.Errorf("the answers took %v", took)
		}
		for i, one := range want {
			if got := string(answers[i].Body) + answers[i].Reason; answers[i].Name != one.name || got != one.says {
				t.Errorf("%s: %.200s, want %s", one.name, got, one.says)
			}
		}
	})
	if diff := cmp.Diff([]string{"localhost GET /emulator/v1/requests?route=* "}, asked); diff != "" {
		t.Errorf("the replica was asked (-want +got):\n%s", diff)
	}
}

// However many replicas hang, they are asked together.
func TestAskMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := make([]peers.Replica, 128)
		for i := range of {
			of[i] = peers.Replica{Name: "hangs", URL: "http://hangs"}
		}
		began := time.Now()
		peers.New(peers.Config{Own: "own", Transport: network{"hangs": hangs}}).Ask(t.Context(), "/", of)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("128 replicas took %v", took)
		}
	})
}

func TestAll(t *testing.T) {
	t.Parallel()
	var alone *peers.Group
	if all := alone.All(); alone.Own() != "" || len(all) != 0 || len(alone.Ask(t.Context(), "/", all)) != 0 {
		t.Errorf("an emulator that is alone has the replicas %v", all)
	}
	known := []peers.Replica{{Name: "a", URL: "http://a"}, {Name: "c", URL: "http://c"}}
	group := func(own string) *peers.Group {
		return peers.New(peers.Config{Own: own, List: func() []peers.Replica { return slices.Clip(known) }})
	}
	if diff := cmp.Diff(known, group("c").All()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append(known[:2:2], peers.Replica{Name: "b"}), group("b").All()); diff != "" {
		t.Errorf("without a URL of its own (-want +got):\n%s", diff)
	}
}
