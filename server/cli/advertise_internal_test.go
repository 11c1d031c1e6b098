package cli

import (
	"net"
	"net/netip"
	"testing"
)

// listensAt is a listener that only has an address.
type listensAt struct {
	net.Listener
	addr net.Addr
}

func (l listensAt) Addr() net.Addr { return l.addr }

// The URL that a replica advertises is of the address at which it serves other replicas, and is never a
// wildcard address.
func TestOwnURL(t *testing.T) {
	t.Parallel()
	tcp := func(text string, is address) *site {
		return &site{Listener: listensAt{addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text))}, address: is}
	}
	socket := &site{Listener: listensAt{addr: &net.UnixAddr{Name: "/run/emulator", Net: "unix"}}}
	control, peers := address{control: true}, address{peers: true}
	own := func(texts ...string) []netip.Addr {
		var all []netip.Addr
		for _, text := range texts {
			all = append(all, netip.MustParseAddr(text))
		}
		return all
	}
	usual := own("127.0.0.1", "::1", "fe80::1", "fd00::7", "10.4.0.7", "192.168.1.2")
	for _, test := range []struct {
		open []*site
		own  []netip.Addr
		want string
	}{
		{[]*site{tcp("127.0.0.1:8254", address{})}, usual, "http://127.0.0.1:8254"},
		{[]*site{tcp("0.0.0.0:8254", address{})}, usual, "http://10.4.0.7:8254"},
		{[]*site{tcp("[::]:8254", address{})}, usual, "http://10.4.0.7:8254"},
		{[]*site{tcp("[::]:8254", address{})}, own("127.0.0.1", "fe80::1", "fd00::7", "fd00::8"), "http://[fd00::7]:8254"},
		{[]*site{tcp("[::]:8254", address{})}, own("127.0.0.1"), "http://127.0.0.1:8254"},
		{[]*site{tcp("[::]:8254", address{})}, nil, "http://127.0.0.1:8254"},
		{[]*site{tcp("[::ffff:10.0.0.1]:8254", address{})}, usual, "http://10.0.0.1:8254"},
		{[]*site{tcp("[::]:8254", address{}), tcp("127.0.0.1:8255", control)}, usual, "http://127.0.0.1:8255"},
		{[]*site{tcp("[::]:8254", address{}), tcp("127.0.0.1:8255", control), tcp("[fd00::7]:8257", peers)}, usual, "http://[fd00::7]:8257"},
		{[]*site{tcp("[::]:8254", address{}), tcp("0.0.0.0:8257", peers), tcp("127.0.0.1:8255", control)}, usual, "http://10.4.0.7:8257"},
		{[]*site{socket}, usual, ""},
		{[]*site{socket, tcp("127.0.0.1:8255", control)}, usual, "http://127.0.0.1:8255"},
	} {
		e := &emulator{sites: &sites{open: test.open}}
		if got := e.ownURL(func() []netip.Addr { return test.own }); got != test.want {
			t.Errorf("%v: %q, want %q", test.open[len(test.open)-1].Addr(), got, test.want)
		}
	}
	for _, address := range interfaceAddresses() {
		if !address.IsValid() || address.Is4In6() {
			t.Errorf("this machine has the address %v", address)
		}
	}
}

// The URL is announced in one spelling, whatever the flag has.
func TestAdvertised(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"": "", "http://10.4.0.7:8254": "http://10.4.0.7:8254", "HTTP://replica-0.replicas:8254/": "http://replica-0.replicas:8254",
		"http://[fd00::7]:8254#": "http://[fd00::7]:8254",
	} {
		if got, err := (peerFlags{Advertise: given}).advertised(); err != nil || got != want {
			t.Errorf("%q: %q (%v), want %q", given, got, err, want)
		}
	}
}
