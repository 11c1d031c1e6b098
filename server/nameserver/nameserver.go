// Package nameserver answers DNS queries (RFC 1035), so that the names of Google's servers lead to an
// emulator, and other names fail at once. It knows A records only, and asks no other server.
//
// The caller decides which names exist; package reach knows Google's.
package nameserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// patience limits the time between two queries of a connection (RFC 7766, section 6.2.3).
	patience = 10 * time.Second
	// manyFailures limits the number of failures without a query between them.
	manyFailures = 100
	// crowd limits the number of connections.
	crowd = 64
)

// Server answers queries at one address.
type Server struct {
	Packets  net.PacketConn // for UDP
	Listener net.Listener   // for TCP
	Lookup   Lookup
}

// Serve answers queries until the context ends, or until one of the sockets fails, and closes them. It
// returns nil if the context has ended.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closing := context.AfterFunc(ctx, s.close)
	defer closing()
	failures := make(chan error, 2)
	go func() { failures <- s.servePackets() }()
	go func() { failures <- s.serveConnections(ctx) }()
	first := <-failures
	ended := ctx.Err() != nil
	cancel()
	s.close()
	if second := <-failures; !ended {
		return errors.Join(first, second)
	}
	return nil
}

func (s *Server) close() { _, _ = s.Packets.Close(), s.Listener.Close() } // may be closed already

func (s *Server) servePackets() error {
	query := make([]byte, payload)
	for failures := 0; ; {
		length, from, err := s.Packets.ReadFrom(query)
		if failures++; err != nil && (errors.Is(err, net.ErrClosed) || failures > manyFailures) {
			return err
		}
		if err != nil {
			continue // about an earlier answer, which its client did not wait for
		}
		failures = 0
		if answer := Answer(query[:length], s.Lookup); answer != nil {
			_, _ = s.Packets.WriteTo(answer, from) // the client asks again
		}
	}
}

func (s *Server) serveConnections(ctx context.Context) error {
	var open sync.WaitGroup
	defer open.Wait()
	places := make(chan struct{}, crowd)
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			return err
		}
		select {
		case places <- struct{}{}:
		default:
			_ = conn.Close() // there are too many
			continue
		}
		open.Go(func() {
			defer func() { <-places }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			s.serveConnection(conn)
			_ = conn.Close() // everything was written
		})
	}
}

// serveConnection answers the queries of a connection, each of which has its length before it (RFC
// 1035, section 4.2.2).
func (s *Server) serveConnection(conn net.Conn) {
	for {
		var length [2]byte
		if conn.SetDeadline(after(patience)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer := Answer(query, s.Lookup)
		if answer == nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil { //nolint:gosec // at most 512
			return
		}
	}
}

// after returns the machine's time after a duration: connections know no other time.
func after(duration time.Duration) time.Time {
	return time.Now().Add(duration) //nolint:forbidigo // see above
}
