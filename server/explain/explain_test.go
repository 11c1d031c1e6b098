package explain_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/explain"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

func noon() time.Time { return time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC) }

// window returns a window with exchanges a second apart, numbered from 1 on.
func window(exchanges ...journal.Exchange) explain.Window {
	for i := range exchanges {
		exchanges[i].Sequence, exchanges[i].Time = uint64(i+1), noon().Add(time.Duration(i)*time.Second)
	}
	return explain.Window{Exchanges: exchanges, Now: noon(), Machine: noon()}
}

func repeated(e journal.Exchange, times int) []journal.Exchange {
	return slices.Repeat([]journal.Exchange{e}, times)
}

// sentences returns the sentences that a rule finds.
func sentences(found []explain.Finding, rule string) []string {
	var list []string
	for _, f := range found {
		if f.Rule == rule {
			list = append(list, f.Sentence)
		}
	}
	return list
}

func TestRules(t *testing.T) {
	t.Parallel()
	const audience = "https://203.0.113.7:8000"
	idToken := journal.Exchange{Route: "mds.identity", Status: 200, Instance: "vm", Account: "a@p", Audience: audience, UserAgent: "curl/8 x"}
	access := journal.Exchange{Route: "mds.token", Status: 200, Instance: "vm", Account: "a@p", UserAgent: "loop/1"}
	keys := journal.Exchange{Route: "keys.jwks", Status: 200, UserAgent: "go-oidc"}
	denied := journal.Exchange{
		Route: "iam.roles.get", Status: 403, Code: reason.MissingPermission, Reason: `"user:eve" lacks iam.roles.get on "projects/p"`, Caller: "user:eve",
		Method: "GET", Path: "/v1/roles/x", UserAgent: "gcloud",
	}
	audited := denied
	audited.Status = 200
	flavor := journal.Exchange{Route: "mds.metadata", Status: 403, Code: reason.FlavorMissing, Reason: "the request lacks the header", UserAgent: "wget"}
	unplayed := journal.Exchange{Route: "unknown", Status: 404, Code: reason.NotPlayed, Reason: "not played: storage.buckets.list"}
	expired := journal.Exchange{Route: "oauth2.userinfo", Status: 401, Code: reason.ExpiredToken, Reason: "the token has expired", UserAgent: "app"}
	pending := journal.Exchange{Route: "oauth2.token", Status: 428, Code: reason.AuthorizationPending, Reason: "wait", Method: "POST", Path: "/token", UserAgent: "tv"}
	struck := journal.Exchange{Route: "mds.token", Status: 503, Fault: "f1", Code: reason.Fault, Reason: `the fault "f1" struck`}
	door := journal.Exchange{Route: "ingress.orders", Status: 200, Account: "a@p"}
	from := func(instance, peer string) journal.Exchange {
		return journal.Exchange{Route: "mds.token", Status: 200, Instance: instance, ChosenBy: "address", Peer: peer}
	}
	var pods []journal.Exchange
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		pods = append(pods, from(name, "10.4.0."+name), from(name, "10.4.0."+name))
	}
	frozen, behind, parked, dropped := window(keys), window(keys), window(keys), window(keys)
	frozen.Frozen, frozen.Now = true, noon().Add(-time.Hour)
	behind.Now = noon().Add(-2 * time.Hour)
	parked.Waiters = []explain.Waiters{{Instance: "vm", Count: 2, Since: noon()}, {Instance: "pod", Count: 1, Since: noon()}}
	dropped.Dropped = 1
	for _, test := range []struct {
		name, rule string
		window     explain.Window
		want       []string
	}{
		{"nobody", "nothing-asked", window(), []string{"no client has reached this emulator since it started, or since its journal was cleared"}},
		{"somebody", "nothing-asked", window(keys), nil},
		{"forgotten exchanges", "nothing-asked", explain.Window{Dropped: 3}, nil},
		{"only successes", "quiet", window(keys, access), []string{"the emulator has answered 2 requests, and has refused none"}},
		{"a fault", "fault", window(struck, struck, keys), []string{`the fault "f1" struck 2 requests of mds.token`}},
		{"a fault is not a refusal", "refused", window(struck), nil},
		{"one permission", "refused", window(denied, denied, keys), []string{`2 requests of gcloud to iam.roles.get were refused: "user:eve" lacks iam.roles.get on "projects/p"`}},
		{"audited", "refused", window(audited), []string{`1 request of gcloud to iam.roles.get would be refused if policies were enforced: "user:eve" lacks iam.roles.get on "projects/p"`}},
		{"several reasons", "refused", window(flavor, unplayed, expired, flavor), []string{
			"2 requests of wget to mds.metadata were refused: the request lacks the header",
			"1 request of a program without a User-Agent to unknown was refused: not played: storage.buckets.list",
			"1 request of app to oauth2.userinfo was refused: the token has expired",
		}},
		{"a storm", "repeated", window(repeated(denied, 5)...), []string{"gcloud has sent GET /v1/roles/x 5 times in 4s, and each was answered with an error, last with 403: it tries again at once"}},
		{"no storm", "repeated", window(repeated(denied, 4)...), nil},
		{"a device that waits", "repeated", window(repeated(pending, 9)...), nil},
		{"unverified", "unverified-tokens", window(keys, idToken, idToken, idToken), []string{
			"3 ID tokens for " + audience + " were given out; nobody has asked for the published keys since, so the service there verifies nothing or has them cached",
		}},
		{"verified", "unverified-tokens", window(idToken, keys), nil},
		{"verified by the service", "verified-tokens", window(idToken, keys), []string{
			"1 ID token for " + audience + " was given out, and go-oidc has asked for the published keys since: if the service still refuses the tokens, it does so by a rule of its own",
		}},
		{"verified by a door", "unverified-tokens", window(idToken, door), nil},
		{"polling", "token-polling", window(repeated(access, 10)...), []string{"loop/1 has asked 10 times in 9s for a token of a@p: it does not keep tokens until they expire"}},
		{"a caller by its address", "callers", window(access, from("login", "10.0.0.5")), []string{`1 request from the address 10.0.0.5 was for the instance "login", because of the address`}},
		{"callers by their addresses", "callers", window(from("login", "10.0.0.5"), from("search", "10.0.0.6"), from("login", "10.0.0.7")), []string{
			`2 requests from 2 addresses were for the instance "login", because of the address`,
			`1 request from the address 10.0.0.6 was for the instance "search", because of the address`,
		}},
		{"many callers", "callers", window(pods...), []string{"12 requests from 6 addresses were for 6 instances, because of the address"}},
		{"a caller who is not known", "callers", window(journal.Exchange{Status: 403, ChosenBy: "address", Peer: "10.0.0.8"}), nil},
		{"seldom", "token-polling", window(repeated(access, 9)...), nil},
		{"frozen", "clock", frozen, []string{"the emulator's clock is frozen at 2026-11-21T11:00:00Z, which is 1h0m0s from the machine's time: tokens neither expire nor become valid there"}},
		{"behind", "clock", behind, []string{"the emulator's clock says 2026-11-21T10:00:00Z, which is 2h0m0s from the machine's time: programs with the machine's time may take tokens for expired, or for not yet valid"}},
		{"waiters", "waiting", parked, []string{
			`2 requests wait for a change of the metadata of instance "vm", the first since 2026-11-21T12:00:00Z`,
			`1 request waits for a change of the metadata of instance "pod", the first since 2026-11-21T12:00:00Z`,
		}},
		{"dropped", "forgotten", dropped, []string{"the journal has forgotten 1 earlier request, about which nothing is said here"}},
	} {
		if diff := cmp.Diff(test.want, sentences(explain.Explain(test.window), test.rule)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// Every rule has a window above in which it finds something; here the order and the evidence count.
func TestFindings(t *testing.T) {
	t.Parallel()
	found := explain.Explain(window(
		journal.Exchange{Route: "mds.identity", Status: 200, Audience: "a"},
		journal.Exchange{Route: "unknown", Status: 403, Code: reason.ForeignHost, Reason: "r", Hint: "h"},
		journal.Exchange{Route: "keys.certs", Status: 200},
		journal.Exchange{Route: "unknown", Status: 403, Code: reason.ForeignHost, Reason: "r", Hint: "h"},
	))
	var got []explain.Finding
	for _, f := range found {
		got = append(got, explain.Finding{Rule: f.Rule, Requests: f.Requests})
	}
	want := []explain.Finding{{Rule: "refused", Requests: []uint64{2, 4}}, {Rule: "verified-tokens", Requests: []uint64{1, 3}}}
	if diff := cmp.Diff(want, got); diff != "" || found[0].Hint != "h" {
		t.Errorf("hint %q (-want +got):\n%s", found[0].Hint, diff)
	}
}
