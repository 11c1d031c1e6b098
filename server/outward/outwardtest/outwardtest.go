// Package outwardtest has a dialer for tests, which choose the addresses of names. Otherwise, it dials
// like the dialer of package outward.
package outwardtest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"

	"gcp-metadata-emulator/server/nameserver"
	"gcp-metadata-emulator/server/outward"
)

// Dialer returns a dialer for which the names lead to the addresses, and no other name exists.
func Dialer(addresses map[string]netip.Addr) outward.Dialer {
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answer(server, addresses)
		return client, nil
	}}
	return outward.Dialer{Dialer: net.Dialer{Resolver: resolver}}
}

// answer answers the queries of a connection (RFC 1035, section 4.2.2).
func answer(conn net.Conn, addresses map[string]netip.Addr) {
	defer func() { _ = conn.Close() }() // the resolver has what it needs
	for {
		var length uint16
		if binary.Read(conn, binary.BigEndian, &length) != nil {
			return
		}
		query := make([]byte, length)
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := nameserver.Answer(query, func(name string) (netip.Addr, bool) {
			address, ok := addresses[name]
			return address, ok
		})
		reply = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...) //nolint:gosec // a reply is short
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}
