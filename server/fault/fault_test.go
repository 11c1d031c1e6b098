package fault_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/fault"
)

// checkRefusals checks why a set refuses rules. An empty reason means that it takes the rule.
func checkRefusals(t *testing.T, reasons map[string]string) {
	t.Helper()
	for rule, want := range reasons {
		var read fault.Rule
		if err := json.Unmarshal([]byte(rule), &read); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := newSet().Add(read); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", rule, got, want)
		}
	}
}

func newSet() *fault.Set {
	return fault.New([]string{"mds.identity", "mds.metadata", "mds.token", "oauth2.token"}, fault.Defects{
		"mds.identity": {"expired", "wrong-audience"}, "mds.token": {"expired"},
	}, clock.New(time.Now))
}

func add(t *testing.T, s *fault.Set, rule string) fault.Fault {
	t.Helper()
	var read fault.Rule
	if err := json.Unmarshal([]byte(rule), &read); err != nil {
		t.Fatal(err)
	}
	added, err := s.Add(read)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// request returns a request of mds.token without account or audience.
func request(change func(*fault.Request)) fault.Request {
	r := fault.Request{
		Route: "mds.token", Path: "/a/token",
		Subject: func() (account, audience string) { return "a@example.com", "https://service" },
	}
	if change != nil {
		change(&r)
	}
	return r
}

// pattern returns an x for each request that a fault strikes, and a dot for each other request.
func pattern(s *fault.Set, requests int) string {
	var out strings.Builder
	for range requests {
		if _, hit := s.Decide(request(nil)); hit {
			out.WriteByte('x')
		} else {
			out.WriteByte('.')
		}
	}
	return out.String()
}

func TestWhichRequests(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`{"route":"mds.token","status":503}`:                                  "xxxxxxxxxx",
		`{"route":"mds.token","status":503,"times":2}`:                        "xx........",
		`{"route":"mds.token","status":503,"after":3}`:                        "...xxxxxxx",
		`{"route":"mds.token","status":503,"after":3,"times":1}`:              "...x......",
		`{"route":"mds.token","status":503,"every":3}`:                        "..x..x..x.",
		`{"route":"mds.token","status":503,"every":3,"after":1}`:              "...x..x..x",
		`{"route":"mds.token","status":503,"every":2,"times":2}`:              ".x.x......",
		`{"route":"mds.token","status":503,"probability":1}`:                  "xxxxxxxxxx",
		`{"route":"mds.*","status":503}`:                                      "xxxxxxxxxx",
		`{"route":"*","status":503}`:                                          "xxxxxxxxxx",
		`{"route":"oauth2.token","status":503}`:                               "..........",
		`{"route":"*","match":{"path":"/a/token"},"status":503}`:              "xxxxxxxxxx",
		`{"route":"*","match":{"path":"/a/*"},"status":503}`:                  "xxxxxxxxxx",
		`{"route":"*","match":{"path":"/b/*"},"status":503}`:                  "..........",
		`{"route":"*","match":{"account":"a@example.com"},"status":503}`:      "xxxxxxxxxx",
		`{"route":"*","match":{"account":"b@example.com"},"status":503}`:      "..........",
		`{"route":"*","match":{"audience":"https://*"},"status":503}`:         "xxxxxxxxxx",
		`{"route":"*","match":{"audience":"https://other"},"status":503}`:     "..........",
		`{"route":"*","match":{"account":"a*","audience":"x"},"status":503}`:  "..........",
		`{"route":"mds.token","status":503,"probability":0.5,"seed":1}`:       "x.xx..xx.x",
		`{"route":"mds.token","status":503,"probability":0.000001,"seed":17}`: "..........",
	} {
		s := newSet()
		added := add(t, s, rule)
		if got := pattern(s, 10); got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
		f, ok := s.Find(added.ID)
		if hits := strings.Count(want, "x"); !ok || f.Hits != hits {
			t.Errorf("%s: %d hits are counted, want %d", rule, f.Hits, hits)
		}
	}
}

// The same seed strikes the same requests again.
func TestSeedReproduces(t *testing.T) {
	t.Parallel()
	first := newSet()
	chosen := add(t, first, `{"route":"mds.token","status":503,"probability":0.5}`)
	again := newSet()
	if _, err := again.Add(chosen.Rule); err != nil {
		t.Fatal(err)
	}
	const many = 200
	want := pattern(first, many)
	if got := pattern(again, many); got != want {
		t.Errorf("with seed %d:\n%s\nand\n%s", chosen.Seed, want, got)
	}
	if hits := strings.Count(want, "x"); hits < many/4 || hits > many*3/4 {
		t.Errorf("%d of %d go wrong with a probability of a half", hits, many)
	}
}

// Only the first matching fault strikes. After it is used up, the next fault strikes.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := newSet()
	first := add(t, s, `{"route":"mds.token","status":503,"times":1}`)
	second := add(t, s, `{"route":"mds.*","status":429,"times":1}`)
	for _, want := range []string{first.ID, second.ID, ""} {
		if met, _ := s.Decide(request(nil)); met.ID != want {
			t.Errorf("met %q, want %q", met.ID, want)
		}
	}
	if !removed(t, s, first.ID) || removed(t, s, first.ID) || len(s.List()) != 1 {
		t.Error("a fault is not removed, or twice")
	}
	s.Clear()
	if len(s.List()) != 0 {
		t.Error("faults are left")
	}
}

// A defect applies only to routes whose tokens can have it.
func TestDefectIsForTokens(t *testing.T) {
	t.Parallel()
	s := newSet()
	added := add(t, s, `{"route":"*","defect":"wrong-audience","times":1}`)
	for _, route := range []string{"mds.metadata", "mds.token", "mds.identity", "mds.identity"} {
		_, met := s.Decide(request(func(r *fault.Request) { r.Route = route }))
		if f, _ := s.Find(added.ID); met != (route == "mds.identity" && f.Requests == 1) {
			t.Errorf("%s: met %t after %d requests", route, met, f.Requests)
		}
	}
}

// The account is determined only if a rule names one.
func TestSubjectIsAskedOnlyWhenNeeded(t *testing.T) {
	t.Parallel()
	s := newSet()
	add(t, s, `{"route":"mds.token","status":503}`)
	add(t, s, `{"route":"oauth2.token","match":{"account":"x"},"status":503}`)
	s.Decide(request(func(r *fault.Request) {
		r.Subject = func() (string, string) { t.Error("asked"); return "", "" }
	}))
}

func TestFor(t *testing.T) {
	t.Parallel()
	emulated := clock.New(time.Now)
	emulated.Freeze()
	s := fault.New([]string{"mds.token"}, nil, emulated)
	added := add(t, s, `{"outage":"boot","for":"30s"}`)
	if added.Route != "mds.*" || added.HangUp != fault.BeforeAny || added.Until == nil {
		t.Errorf("outage is %+v", added)
	}
	if err := emulated.Advance(29 * time.Second); err != nil {
		t.Fatal(err)
	}
	if got := pattern(s, 2); got != "xx" {
		t.Errorf("within its time: %s", got)
	}
	if err := emulated.Set(emulated.Now().Add(-time.Hour)); err != nil { // which prolongs nothing
		t.Fatal(err)
	}
	if found, _ := s.Find(added.ID); !found.Until.Equal(emulated.Now().Add(time.Second)) {
		t.Errorf("after the clock was set back, the fault lasts until %v; now is %v", found.Until, emulated.Now())
	}
	if err := emulated.Advance(time.Second); err != nil {
		t.Fatal(err)
	}
	if got := pattern(s, 2); got != ".." {
		t.Errorf("after its time: %s", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	checkRefusals(t, map[string]string{
		`{}`:                                               `a fault needs an effect: "status", "body", "delay", "hangUp", "malformed", "withoutHeader", "withHeader", "outage" or "defect"`,
		`{"status":503}`:                                   `"route": a fault needs the name of a route, such as "mds.token" or "mds.*"`,
		`{"route":"mds.tokn","status":503}`:                `"route": there is no route "mds.tokn"; did you mean "mds.token"?`,
		`{"route":"x","status":503}`:                       `"route": there is no route "x"; use one of: mds.identity, mds.metadata, mds.token, oauth2.token`,
		`{"route":"control.*","status":503}`:               `"route": no route matches "control.*"; use one of: mds.identity, mds.metadata, mds.token, oauth2.token`,
		`{"route":"*","status":99}`:                        `"status": 99 is not an HTTP status of an answer: give one from 200 to 599`,
		`{"route":"*","status":-1}`:                        `"status": -1 is not an HTTP status of an answer: give one from 200 to 599`,
		`{"route":"*","delay":"-1s"}`:                      `"delay": a delay is from "0s" to "1h"`,
		`{"route":"*","delay":"2h"}`:                       `"delay": a delay is from "0s" to "1h"`,
		`{"route":"*","hangUp":"later"}`:                   `"hangUp": "later" is not a moment to hang up: write true, "before" or "body"`,
		`{"route":"*","location":"http://x/"}`:             `"location": it needs a "status" of a redirect: 301, 302, 303, 307 or 308`,
		`{"route":"*","status":307,"location":"a b\n"}`:    `"location": "a b\n" is not a URL`,
		`{"route":"*","withoutHeader":"a b"}`:              `"withoutHeader": "a b" is not the name of a header field`,
		`{"route":"*","withoutHeader":"content-length"}`:   `"withoutHeader": "content-length" marks the end of the answer and cannot be changed: use "hangUp": "body" instead`,
		`{"route":"*","body":null}`:                        `"body": null is not a body: write "" for an empty one`,
		`{"route":"*","status":503,"body":null}`:           `"body": null is not a body: write "" for an empty one`,
		`{"route":"*","status":200}`:                       `"status": 200 changes nothing on its own: add a "body"`,
		`{"route":"*","status":200,"body":""}`:             "",
		`{"route":"*","outage":"rain"}`:                    `"outage": "rain" is not an outage; use one of: "boot", "live-migration"`,
		`{"outage":"boot","status":500}`:                   `"outage": an outage decides the answer: leave out "status", "body", "hangUp" and "malformed"`,
		`{"route":"*","status":503,"match":{"path":"a"}}`:  `"match.path": "a" matches no path: start it with "/"`,
		`{"route":"*","status":503,"times":-1}`:            `"times": it must not be negative`,
		`{"route":"*","status":503,"for":"-1s"}`:           `"for": it must not be negative`,
		`{"route":"*","status":503,"probability":1.1}`:     `"probability": a probability is from 0 to 1`,
		`{"route":"*","status":503,"seed":1}`:              `"seed": a seed needs a "probability"`,
		`{"route":"*","status":503,"hangUp":false,"x":""}`: "",

		`{"route":"mds.metadata","defect":"expired"}`:            `"defect": "mds.metadata" issues no tokens; use one of: mds.identity, mds.token`,
		`{"route":"mds.token","defect":"wrong-audience"}`:        `"defect": the tokens of "mds.token" cannot be "wrong-audience"; use one of: expired`,
		`{"route":"mds.*","defect":"rotten"}`:                    `"defect": the tokens of "mds.*" cannot be "rotten"; use one of: expired, wrong-audience`,
		`{"route":"mds.token","defect":"expired","status":200}`:  `"defect": a defect needs an answer with a token: leave out "status", "body", "outage" and "hangUp": "before"`,
		`{"route":"mds.token","defect":"expired","hangUp":true}`: `"defect": a defect needs an answer with a token: leave out "status", "body", "outage" and "hangUp": "before"`,
		`{"defect":"expired"}`:                                   `"route": a fault needs the name of a route, such as "mds.token" or "mds.*"`,
		`{"route":"*","defect":"expired","delay":"1s"}`:          "",
	})
	s := newSet()
	for range 1000 {
		add(t, s, `{"route":"*","status":503}`)
	}
	if _, err := s.Add(fault.Rule{Route: "*", Status: 503}); err == nil {
		t.Error("the number of faults is unlimited")
	}
}

func TestHangUp(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fault.HangUp{
		`true`: fault.BeforeAny, `"before"`: fault.BeforeAny, `"body"`: fault.DuringBody, `false`: fault.Never, `null`: fault.Never,
	} {
		var rule fault.Rule
		if err := json.Unmarshal([]byte(`{"hangUp":`+text+`}`), &rule); err != nil || rule.HangUp != want {
			t.Errorf("%s is %q, %v", text, rule.HangUp, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"hangUp":1}`), &fault.Rule{}); err == nil {
		t.Error("a number is a moment to hang up")
	}
}

func TestReplacement(t *testing.T) {
	t.Parallel()
	type replacement struct {
		Body, ContentType string
		OK                bool
	}
	for text, want := range map[string]replacement{
		`"plain"`:     {"plain", "text/plain; charset=utf-8", true},
		`""`:          {"", "text/plain; charset=utf-8", true},
		`{"a" : [1]}`: {`{"a":[1]}`, "application/json; charset=UTF-8", true},
		`7`:           {"7", "application/json; charset=UTF-8", true},
	} {
		var got replacement
		got.Body, got.ContentType, got.OK = fault.Rule{Body: json.RawMessage(text)}.Replacement()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if _, _, ok := (fault.Rule{}).Replacement(); ok {
		t.Error("a rule without a body replaces one")
	}
}

// A fault strikes only requests whose answers it can change.
func TestStrikes(t *testing.T) {
	t.Parallel()
	const body, none, message = fault.WithBody, fault.WithoutBody, fault.Message
	for effect, want := range map[string][]fault.Answer{
		`"status":503`:                          {body, none, message},
		`"status":200,"body":"x"`:               {body, none},
		`"status":404,"body":"x"`:               {body, none, message},
		`"body":"x"`:                            {body, none},
		`"delay":"1s"`:                          {body, none, message},
		`"hangUp":"before"`:                     {body, none, message},
		`"hangUp":"body"`:                       {body, none, message},
		`"malformed":true`:                      {body, message},
		`"malformed":true,"delay":"1s"`:         {body, none, message},
		`"withoutHeader":"ETag"`:                {body, none},
		`"withHeader":{"X":"y"}`:                {body, none},
		`"withHeader":{"X":"y"},"delay":"1s"`:   {body, none, message},
		`"withoutHeader":"ETag","status":500`:   {body, none, message},
		`"defect":"expired"`:                    {body, message},
		`"defect":"expired","delay":"1s"`:       {body, message},
		`"defect":"expired","malformed":true`:   {body, message},
		`"outage":"boot"`:                       {body, none, message},
		`"outage":"live-migration"`:             {body, none, message},
		`"withoutHeader":"ETag","delay":"1s"`:   {body, none, message},
		`"body":{"a":1},"withoutHeader":"ETag"`: {body, none},
	} {
		var got []fault.Answer
		for _, answer := range []fault.Answer{body, none, message} {
			s := newSet()
			added := add(t, s, `{"route":"mds.token",`+effect+`}`)
			_, met := s.Decide(request(func(r *fault.Request) { r.Answer = answer }))
			if met {
				got = append(got, answer)
			}
			if f, _ := s.Find(added.ID); (f.Hits == 1) != met || (f.Requests == 1) != met {
				t.Errorf("%s: %d hits of %d requests", effect, f.Hits, f.Requests)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s strikes (-want +got):\n%s", effect, diff)
		}
	}
}

// A hit without effect is given back.
func TestMissed(t *testing.T) {
	t.Parallel()
	s := newSet()
	added := add(t, s, `{"route":"mds.token","defect":"expired","times":1}`)
	for range 2 {
		if _, met := s.Decide(request(nil)); !met {
			t.Fatal("a fault without hits is used up")
		}
		s.Missed(added.ID)
		if f, _ := s.Find(added.ID); f.Hits != 0 {
			t.Errorf("%d hits are counted", f.Hits)
		}
	}
	s.Missed("nobody")
}

// With concurrent requests, exactly as many fail as the rule says.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newSet()
	limited := add(t, s, `{"route":"mds.token","status":503,"times":7}`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				s.Decide(request(nil))
				other, err := s.Add(fault.Rule{Route: "oauth2.token", Status: 500})
				if err != nil {
					t.Error(err)
				}
				_ = s.List()
				s.Remove(other.ID)
			}
		})
	}
	all.Wait()
	if f, _ := s.Find(limited.ID); f.Hits != 7 || f.Requests != 400 {
		t.Errorf("%d of %d went wrong, want 7 of 400", f.Hits, f.Requests)
	}
}

// A fault may strike before Add returns.
func TestStruckAtOnce(t *testing.T) {
	t.Parallel()
	s := newSet()
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				s.Decide(request(nil))
			}
		}
	})
	for range 500 {
		if added := add(t, s, `{"route":"mds.token","status":503}`); added.Hits != 0 {
			t.Errorf("a new fault has %d hits", added.Hits)
		}
		s.Clear()
	}
	close(done)
	all.Wait()
}

// removed is Remove, which must not fail.
func removed(t *testing.T, s *fault.Set, id string) bool {
	t.Helper()
	existed, err := s.Remove(id)
	if err != nil {
		t.Fatal(err)
	}
	return existed
}
