package nameserver_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"gcp-metadata-emulator/server/nameserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lookup knows one name with an address, and its parent without.
func lookup(name string) (netip.Addr, bool) {
	switch strings.ToLower(name) {
	case "api.example.com", long():
		return netip.MustParseAddr("127.0.0.1"), true
	default:
		return netip.Addr{}, name == "example.com"
	}
}

// long returns the longest name there is.
func long() string {
	label := strings.Repeat("a", 63)
	return strings.Join([]string{label, label, label, label[:61]}, ".")
}

// query returns a query after changes.
func query(t testing.TB, name string, kind dnsmessage.Type, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	if change != nil {
		change(&message)
	}
	packed, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// edns adds a record of EDNS of a version.
func edns(version uint32) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		var header dnsmessage.ResourceHeader
		_ = header.SetEDNS0(4096, 0, true)
		header.TTL |= version << 16
		m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: header, Body: &dnsmessage.OPTResource{}})
	}
}

// reply is what a client reads in an answer.
type reply struct {
	Code      dnsmessage.RCode // with the bits of EDNS
	Addresses string
	EDNS      bool
}

func read(t testing.TB, answer []byte) reply {
	t.Helper()
	var message dnsmessage.Message
	if err := message.Unpack(answer); err != nil {
		t.Fatalf("%x: %v", answer, err)
	}
	if !message.Response || message.ID != 7 || message.Truncated || len(answer) > 512 {
		t.Errorf("%d bytes: %+v", len(answer), message.Header)
	}
	got := reply{Code: message.RCode}
	for _, one := range message.Answers {
		got.Addresses += netip.AddrFrom4(one.Body.(*dnsmessage.AResource).A).String()
		if one.Header.TTL == 0 || one.Header.TTL > 60 {
			t.Errorf("the answer is good for %d s", one.Header.TTL)
		}
	}
	for _, one := range message.Additionals {
		got.EDNS = true
		got.Code = one.Header.ExtendedRCode(message.RCode)
	}
	return got
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	const name = "api.example.com."
	found := reply{Addresses: "127.0.0.1"}
	for title, test := range map[string]struct {
		query []byte
		want  reply
	}{
		"address":               {query(t, name, dnsmessage.TypeA, nil), found},
		"in another case":       {query(t, "aPi.eXample.COM.", dnsmessage.TypeA, nil), found},
		"longest name":          {query(t, long()+".", dnsmessage.TypeA, edns(0)), reply{Addresses: "127.0.0.1", EDNS: true}},
		"everything":            {query(t, name, dnsmessage.TypeALL, nil), found},
		"no such type":          {query(t, name, dnsmessage.TypeAAAA, nil), reply{}},
		"unknown type":          {query(t, name, 65, nil), reply{}},
		"domain":                {query(t, "example.com.", dnsmessage.TypeA, nil), reply{}},
		"unknown name":          {query(t, "www.example.com.", dnsmessage.TypeA, nil), reply{Code: dnsmessage.RCodeNameError}},
		"unknown name and type": {query(t, "www.example.com.", dnsmessage.TypeAAAA, edns(0)), reply{Code: dnsmessage.RCodeNameError, EDNS: true}},
		"root":                  {query(t, ".", dnsmessage.TypeNS, nil), reply{Code: dnsmessage.RCodeNameError}},
		"EDNS":                  {query(t, name, dnsmessage.TypeA, edns(0)), reply{Addresses: "127.0.0.1", EDNS: true}},
		"EDNS of the future":    {query(t, name, dnsmessage.TypeA, edns(1)), reply{Code: 16, EDNS: true}},
		"EDNS twice": {query(t, name, dnsmessage.TypeA, func(m *dnsmessage.Message) {
			edns(0)(m)
			edns(0)(m)
		}), reply{Code: dnsmessage.RCodeFormatError, EDNS: true}},
		"no question": {query(t, name, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = nil }), reply{Code: dnsmessage.RCodeFormatError}},
		"two questions": {query(t, name, dnsmessage.TypeA, func(m *dnsmessage.Message) {
			m.Questions = append(m.Questions, m.Questions[0])
		}), reply{Code: dnsmessage.RCodeFormatError}},
		"another class": {query(t, name, dnsmessage.TypeA, func(m *dnsmessage.Message) {
			m.Questions[0].Class = dnsmessage.ClassCHAOS
		}), reply{Code: dnsmessage.RCodeNotImplemented}},
		"another operation": {query(t, name, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.OpCode = 5 }), reply{Code: dnsmessage.RCodeNotImplemented}},
		"cut off":           {query(t, name, dnsmessage.TypeA, nil)[:20], reply{Code: dnsmessage.RCodeFormatError}},
	} {
		if diff := cmp.Diff(test.want, read(t, nameserver.Answer(test.query, lookup))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", title, diff)
		}
	}
	answer := query(t, name, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true })
	for _, silent := range [][]byte{answer, nil, {0, 7, 1}} {
		if got := nameserver.Answer(silent, lookup); got != nil {
			t.Errorf("%x is answered: %x", silent, got)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(query(f, "api.example.com.", dnsmessage.TypeA, nil))
	f.Add(query(f, "www.example.com.", dnsmessage.TypeAAAA, edns(0)))
	f.Add(query(f, long()+".", dnsmessage.TypeA, edns(1)))
	f.Fuzz(func(t *testing.T, query []byte) {
		answer := nameserver.Answer(query, lookup)
		if answer == nil {
			return
		}
		var message dnsmessage.Message
		if err := message.Unpack(answer); err != nil || !message.Response || len(answer) > 512 {
			t.Errorf("%x gets %x: %v", query, answer, err)
		}
		if again := nameserver.Answer(answer, lookup); again != nil {
			t.Errorf("the answer %x is answered", answer)
		}
	})
}

// serving returns the address of a server.
func serving(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", listener.Addr().String())
	if err != nil {
		t.Skip("the port is in use over UDP: ", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- (&nameserver.Server{Packets: packets, Listener: listener, Lookup: lookup}).Serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return listener.Addr().String()
}

// Go's own resolver finds names over both transports, and learns at once that other names do not exist.
func TestResolver(t *testing.T) {
	t.Parallel()
	address := serving(t)
	for _, network := range []string{"udp", "tcp"} {
		resolver := &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
		found, err := resolver.LookupHost(t.Context(), "api.example.com.")
		if diff := cmp.Diff([]string{"127.0.0.1"}, found); diff != "" || err != nil {
			t.Errorf("%s: %v %s", network, err, diff)
		}
		_, err = resolver.LookupHost(t.Context(), "www.example.com.")
		var missing *net.DNSError
		if !errors.As(err, &missing) || !missing.IsNotFound || missing.IsTemporary || missing.IsTimeout {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// A connection carries several queries, and ends after one that cannot be answered.
func TestConnection(t *testing.T) {
	t.Parallel()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", serving(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	one := query(t, "api.example.com.", dnsmessage.TypeA, nil)
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(one))), one...)
	if _, err := conn.Write(append(append(append([]byte{}, framed...), framed...), 0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for ; len(all) > 2; count++ {
		length := int(binary.BigEndian.Uint16(all))
		if got := read(t, all[2:2+length]); got.Addresses != "127.0.0.1" {
			t.Errorf("answer %d: %+v", count, got)
		}
		all = all[2+length:]
	}
	if count != 2 {
		t.Errorf("%d answers", count)
	}
}

// If one socket fails, the server ends and says so.
func TestFailure(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = packets.Close()
	if err := (&nameserver.Server{Packets: packets, Listener: listener, Lookup: lookup}).Serve(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serving ended with %v", err)
	}
}
