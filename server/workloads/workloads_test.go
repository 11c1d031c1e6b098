package workloads_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world/worldtest"
)

const containers = `
instances:
  - {name: first}
  - {name: login, addresses: [172.20.0.5, "fd00::/8"]}
  - {name: search, addresses: [172.20.0.0/16, "fd00:1::/32"]}
  - {name: anyone-else, addresses: [0.0.0.0/0]}
`

// The listener decides, then the name, then the smallest range of addresses, then the default.
func TestChoose(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, containers)
	for _, test := range []struct{ listener, host, peer, want string }{
		{"", "localhost:8254", "172.20.0.5:4711", "login by address"},
		{"", "metadata.google.internal", "172.20.0.6:1", "search by address"},
		{"", "169.254.169.254", "172.21.0.5:1", "anyone-else by address"},
		{"", "", "[fd12:3::1]:1", "login by address"},
		{"", "", "[fd00:1::9]:1", "search by address"},
		{"", "", "[fe80::1%eth0]:1", "first by default"},
		{"", "", "[fd00::1%eth0]:1", "login by address"},
		{"", "", "[::ffff:172.20.0.5]:1", "login by address"},
		{"", "", "[2001:db8::1]:1", "first by default"},
		{"", "", "@", "first by default"},
		{"", "", "", "first by default"},
		{"", "search.localhost", "172.20.0.5:1", "search by host"},
		{"first", "search.localhost", "172.20.0.5:1", "first by listener"},
		{"gone", "search.localhost", "172.20.0.5:1", "nothing by listener"},
	} {
		ctx := t.Context()
		if test.listener != "" {
			ctx = workloads.Named(ctx, test.listener, workloads.ByListener)
		}
		got := workloads.Chooser{}.Choose(ctx, w, workloads.Request{Host: test.host, Peer: test.peer})
		if described(got) != test.want || got.Refusal != nil {
			t.Errorf("listener %q, host %q, peer %q: %s, %v; want %s", test.listener, test.host, test.peer, described(got), got.Refusal, test.want)
		}
	}
}

func described(c workloads.Choice) string {
	name := "nothing"
	if c.Instance != nil {
		name = c.Instance.Name
	}
	return fmt.Sprintf("%s by %s", name, c.Rule)
}

// With known callers, an address that no instance has is refused, and the flag counts before the fixture.
func TestKnownCallers(t *testing.T) {
	t.Parallel()
	const known = "callers: known\ninstances: [{name: first}, {name: login, addresses: [172.20.0.5]}]"
	const one = "callers: known\ninstances: [{name: first}]"
	for _, test := range []struct {
		yaml       string
		flag       fixtures.Callers
		host, peer string
		want       string
		hint       string
	}{
		{known, "", "", "172.20.0.5:1", "login by address", ""},
		{
			known, "", "", "172.20.0.6:1", "nothing by address",
			`add it to an instance in the fixture: addresses: ["172.20.0.6"], or start the emulator with --callers any`,
		},
		{
			one, "", "", "[::1]:1", "nothing by address",
			`add it to an instance in the fixture: addresses: ["::1"], or start the emulator with --callers any`,
		},
		{one, "", "", "@", "nothing by address", "send the request with the header Host: INSTANCE.localhost, or start the emulator with --callers any"},
		{one, "", "first.localhost", "[::1]:1", "first by host", ""},
		{one, "", "first", "@", "first by host", ""},
		{known, "", "first", "172.20.0.5:1", "first by host", ""},
		{
			known, "", "first", "172.20.0.6:1", "nothing by address",
			`add it to an instance in the fixture: addresses: ["172.20.0.6"], or start the emulator with --callers any`,
		},
		{known, fixtures.AnyCallers, "first", "172.20.0.6:1", "first by host", ""},
		{one, fixtures.AnyCallers, "", "[::1]:1", "first by default", ""},
		{
			"instances: [{name: first}]", fixtures.KnownCallers, "", "10.0.0.1:1", "nothing by address",
			`add it to an instance in the fixture: addresses: ["10.0.0.1"], or start the emulator with --callers any`,
		},
	} {
		got := workloads.Chooser{Callers: test.flag}.Choose(t.Context(), worldtest.Parse(t, test.yaml), workloads.Request{Host: test.host, Peer: test.peer})
		hint := ""
		if got.Refusal != nil {
			hint = got.Refusal.Hint
		}
		if described(got) != test.want || hint != test.hint || got.Refusal != nil && got.Refusal.Code != reason.UnknownCaller {
			t.Errorf("%s with %q, host %q, peer %q: %s, %+v", test.yaml, test.flag, test.host, test.peer, described(got), got.Refusal)
		}
	}
}

// pods is a cluster with the instance "login" at one address, a removed pod at another, and a node.
type pods struct{ login, removed, node netip.Addr }

func (p pods) At(_ context.Context, address netip.Addr) (string, *journal.Refusal) {
	switch address {
	case p.login:
		return "login", nil
	case p.removed:
		return "removed", nil
	case p.node:
		return "", &journal.Refusal{Code: reason.UnknownCaller, Reason: "several pods share the address", Hint: "turn off hostNetwork"}
	}
	return "", nil
}

// A pod comes after the fixture's addresses and before the default.
func TestPods(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, "instances: [{name: first}, {name: login}, {name: search, addresses: [10.4.0.9]}]")
	cluster := pods{netip.MustParseAddr("10.4.0.7"), netip.MustParseAddr("10.4.0.8"), netip.MustParseAddr("10.0.0.1")}
	for peer, want := range map[string]string{
		"10.4.0.7:1": "login by pod", "[::ffff:10.4.0.7]:1": "login by pod", "10.4.0.8:1": "nothing by pod",
		"10.4.0.9:1": "search by address", "10.4.0.6:1": "first by default", "10.0.0.1:1": "nothing by pod", "@": "first by default",
	} {
		got := workloads.Chooser{Pods: cluster}.Choose(t.Context(), w, workloads.Request{Peer: peer})
		if described(got) != want || (got.Refusal != nil) != (peer == "10.0.0.1:1") {
			t.Errorf("%s: %s, %v; want %s", peer, described(got), got.Refusal, want)
		}
	}
}

// A Host does not choose for a pod, nor for a caller whom the cluster refuses, whether the entrance or
// the choice has found the name in it. It chooses for others, who may be unknown only if any caller may.
func TestHostOfPods(t *testing.T) {
	t.Parallel()
	cluster := pods{netip.MustParseAddr("10.4.0.7"), netip.MustParseAddr("10.4.0.8"), netip.MustParseAddr("10.0.0.1")}
	for _, callers := range []fixtures.Callers{fixtures.AnyCallers, fixtures.KnownCallers} {
		w := worldtest.Parse(t, "callers: "+string(callers)+"\ninstances: [{name: first}, {name: login}, {name: search, addresses: [10.4.0.9]}]")
		want := map[string]string{
			"10.4.0.7:1": "login by pod", "10.4.0.8:1": "nothing by pod", "10.0.0.1:1": "nothing by pod", "10.4.0.9:1": "first by host",
			"10.4.0.6:1": "first by host", "127.0.0.1:1": "first by host", "@": "first by host",
		}
		if callers == fixtures.KnownCallers {
			want["10.4.0.6:1"] = "nothing by address"
		}
		for peer, want := range want {
			request := workloads.Request{Host: "first", Peer: peer}
			for way, ctx := range map[string]context.Context{"entrance": workloads.Named(t.Context(), "first", workloads.ByHost), "choice": t.Context()} {
				if got := (workloads.Chooser{Pods: cluster}).Choose(ctx, w, request); described(got) != want {
					t.Errorf("callers %s, %s, found by the %s: %s; want %s", callers, peer, way, described(got), want)
				}
			}
		}
	}
}

func TestStays(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, "instances: [{name: first}, {name: login, addresses: [10.0.0.5]}]")
	bare := worldtest.Parse(t, "instances: [{name: first}, {name: login}]")
	for _, test := range []struct {
		instance string
		rule     workloads.Rule
		peer     string
		in, bare bool
	}{
		{"login", workloads.ByAddress, "10.0.0.5:1", true, false},
		{"first", workloads.ByAddress, "10.0.0.5:1", false, false},
		{"first", workloads.ByDefault, "10.0.0.5:1", false, true},
		{"first", workloads.ByDefault, "10.0.0.6:1", true, true},
		{"first", workloads.ByDefault, "@", true, true},
		{"first", workloads.ByHost, "10.0.0.5:1", true, true},
		{"first", workloads.ByListener, "10.0.0.5:1", true, true},
		{"first", workloads.ByPod, "10.0.0.5:1", true, true},
	} {
		if got := workloads.Stays(w, test.instance, test.rule, test.peer); got != test.in {
			t.Errorf("%+v: %v", test, got)
		}
		if got := workloads.Stays(bare, test.instance, test.rule, test.peer); got != test.bare {
			t.Errorf("%+v in a world without addresses: %v", test, got)
		}
	}
}

// A world without addresses costs a caller nothing, and a world with many costs each the same.
func BenchmarkChoose(b *testing.B) {
	var many strings.Builder
	many.WriteString("instances:\n  - {name: first}\n")
	for i := range 5000 {
		fmt.Fprintf(&many, "  - {name: pod-%d, profile: gke, addresses: [10.4.%d.%d]}\n", i, i/250, i%250)
	}
	for name, yaml := range map[string]string{"alone": "instances: [{name: first}]", "four": containers, "5,001": many.String()} {
		b.Run(name, func(b *testing.B) {
			w := worldtest.Parse(b, yaml)
			ctx, r := b.Context(), workloads.Request{Host: "metadata.google.internal", Peer: "10.4.3.7:4711"}
			b.ReportAllocs()
			for b.Loop() {
				workloads.Chooser{}.Choose(ctx, w, r)
			}
		})
	}
}
