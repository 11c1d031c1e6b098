package peers_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// says answers with a text, and says its length before, as emulators do.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = io.WriteString(w, text)
	}
}

func waiters() peers.Question {
	return peers.Question{Method: http.MethodGet, Path: "/emulator/v1/waiters"}
}

// keep keeps the answers by the names of the replicas.
func keep(in map[string]string) func(peers.Replica, []byte) error {
	return func(of peers.Replica, answer []byte) error {
		var named struct {
			Replica string `json:"replica"`
		}
		if json.Unmarshal(answer, &named) != nil {
			return peers.ErrForeign
		}
		if err := of.Check(named.Replica); err != nil {
			return err
		}
		in[of.Name] = string(answer)
		return nil
	}
}

// foreign is the reason for which an answer does not count.
const foreign = "its answer is not one of a replica of this version: run the same version of the emulator in every replica"

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// A faulty replica costs a second at most, with any fault, and does not hinder the answers of the others.
func TestAsk(t *testing.T) {
	t.Parallel()
	var asked []string
	good := func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host+" "+r.Method+" "+r.URL.String()+" "+r.Header.Get("Origin")+r.Header.Get(peers.Marker))
		_, _ = io.WriteString(w, `{"replica": "good", "list": [1]}`)
	}
	world := network{
		"good": good, "also-good": says(`{"replica": "good"}`), "hangs": hangs, "garbage": says("\x00<html>"), "nameless": says(`{"list": []}`),
		"huge": says(`{"replica": "huge", "list": "` + strings.Repeat("x", peers.MaxBytes) + `"}`),
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", peers.MaxBytes+1))
		},
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
		{"garbage", "http://garbage", foreign},
		{"nameless", "http://nameless", foreign},
		{"huge", "http://huge", "its answer is larger than 8 MiB"},
		{"endless", "http://endless", "its answer is larger than 8 MiB"},
		{"refuses", "http://refuses", "it answered with status 403"},
		{"leads-away", "http://leads-away", "it answered with status 302"},
		{"silent", "", "it has no URL: start it with --advertise"},
		{"malformed", "http://[", "its URL cannot be used: it cannot be parsed: missing ']' in host"},
		{"leads-back", "http://good/emulator/v1/waiters?replica=all#", "its URL cannot be used: it has a path"},
		{"other-parameters", "http://good?replica=all&x=", "its URL cannot be used: it has a query"},
	}
	synctest.Test(t, func(t *testing.T) {
		var of []peers.Replica
		for _, one := range want {
			of = append(of, peers.Replica{Name: one.name, URL: one.url})
		}
		group := peers.New(peers.Config{Own: "own", Transport: world})
		began := time.Now()
		got := map[string]string{}
		for _, one := range group.Ask(t.Context(), peers.Question{Method: http.MethodDelete, Path: "/emulator/v1/requests", Query: url.Values{"route": {"*"}}}, of, keep(got)) {
			got[one.Name] = one.Reason
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the answers took %v", took)
		}
		for _, one := range want {
			if got[one.name] != one.says {
				t.Errorf("%s: %.200s, want %s", one.name, got[one.name], one.says)
			}
		}
	})
	if diff := cmp.Diff([]string{"localhost DELETE http://good/emulator/v1/requests?route=%2A own"}, asked); diff != "" {
		t.Errorf("the replica was asked (-want +got):\n%s", diff)
	}
}

// A question takes as long with many hanging replicas as with one. A replica that could not be asked is named.
func TestAskMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := make([]peers.Replica, 300)
		for i := range of {
			of[i] = peers.Replica{Name: "hangs", URL: "http://hangs"}
		}
		began := time.Now()
		reasons := map[string]int{}
		for _, one := range peers.New(peers.Config{Own: "own", Transport: network{"hangs": hangs}}).Ask(t.Context(), waiters(), of, keep(map[string]string{})) {
			reasons[one.Reason]++
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("300 replicas took %v", took)
		}
		if diff := cmp.Diff(map[string]int{
			"it has not answered within 1s": 256, "it was not asked: 256 other requests to replicas have not been answered within 1s": 44,
		}, reasons); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The answers to a question have a size together, and so have the answers to all questions that are open. The rest
// is not read, and is named.
func TestAnswersTogether(t *testing.T) {
	t.Parallel()
	const large = peers.MaxTotal / 4
	world, of := network{}, make([]peers.Replica, 10)
	for i := range of {
		name := string(rune('a' + i))
		of[i] = peers.Replica{Name: name, URL: "http://" + name}
		world[name] = says(`{"replica": "` + name + `", "list": "` + strings.Repeat("x", large-30) + `"}`)
	}
	var open sync.WaitGroup // answers that have not been read or refused
	group := peers.New(peers.Config{Own: "own", Transport: watched{world, &open}, Patience: time.Hour})
	ask := func(during func()) (answers, bytes int, reasons map[string]int) {
		reasons = map[string]int{}
		open.Add(len(of))
		for _, one := range group.Ask(t.Context(), waiters(), of, func(_ peers.Replica, answer []byte) error {
			open.Wait()
			during()
			answers++
			bytes += len(answer)
			return nil
		}) {
			reasons[one.Reason]++
		}
		return answers, bytes, reasons
	}
	nothing := func() {}
	for range 3 { // the room of a question is free again after it
		answers, bytes, reasons := ask(nothing)
		if diff := cmp.Diff(map[string]int{
			"the answers of all replicas are larger than 16 MiB together: ask for fewer requests, or ask this replica alone": 6,
		}, reasons); diff != "" || answers != 4 || bytes > peers.MaxTotal {
			t.Errorf("%d answers with %d bytes (-want +got):\n%s", answers, bytes, diff)
		}
	}
	ask(sync.OnceFunc(func() {
		ask(sync.OnceFunc(func() {
			answers, _, reasons := ask(nothing)
			if diff := cmp.Diff(map[string]int{"the answers to several questions are larger than 32 MiB together: ask again later": 10}, reasons); diff != "" || answers > 0 {
				t.Errorf("a third question has %d answers (-want +got):\n%s", answers, diff)
			}
		}))
	}))
}

// If take refuses an answer, later answers get its room.
func TestRefusedAnswersTakeNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world, of := network{}, make([]peers.Replica, 10)
		for i := range of {
			name := string(rune('a' + i))
			of[i] = peers.Replica{Name: name, URL: "http://" + name}
			world[name] = func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Duration(i) * time.Second) // of the bubble
				says(strings.Repeat("x", peers.MaxBytes))(w, r)
			}
		}
		for _, one := range peers.New(peers.Config{Own: "own", Patience: time.Minute, Transport: world}).Ask(t.Context(), waiters(), of, keep(map[string]string{})) {
			if one.Reason != foreign {
				t.Errorf("%s: %s", one.Name, one.Reason)
			}
		}
	})
}

// watched counts the bodies of answers that are open.
type watched struct {
	http.RoundTripper

	open *sync.WaitGroup
}

// RoundTrip implements http.RoundTripper.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = body{response.Body, w.open}
	}
	return response, err
}

type body struct {
	io.Reader

	open *sync.WaitGroup
}

func (b body) Close() error {
	b.open.Done()
	return nil
}

func TestAll(t *testing.T) {
	t.Parallel()
	var alone *peers.Group
	if all := alone.All(); alone.Own() != "" || len(all) != 0 || len(alone.Ask(t.Context(), waiters(), all, nil)) != 0 {
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
