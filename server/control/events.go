package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/wire"
)

const (
	maxStreams = 64
	heartbeat  = 15 * time.Second // proxies and clients close a connection that is silent for longer
)

// Events streams server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html). It sends "request" for each
// exchange that matches the query, and "revision" for each new version of the world. If the client
// was too slow to get some exchanges, it sends "dropped". A slow client may miss versions.
func (s *Server) Events(r *http.Request) (wire.Response, error) {
	wanted, err := s.readLookUp(r.URL.Query())
	if err != nil {
		return wire.Response{}, err
	}
	response := wire.Response{
		ContentType: "text/event-stream",
		Header:      []wire.Field{{Name: "Cache-Control", Value: "no-store"}},
	}
	if r.Method == http.MethodHead {
		return response, nil
	}
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return wire.Response{}, &googleapi.Error{
			Code: http.StatusTooManyRequests, Status: "RESOURCE_EXHAUSTED",
			Message: fmt.Sprintf("%d event streams are already open; close one first", maxStreams),
		}
	}
	follower := follower{server: s, wanted: wanted, last: wanted.since}
	if id, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		follower.last = id
	} else if wanted.since == 0 {
		follower.last = s.journal.Since(0).Last // only new exchanges
	}
	response.Stream = func(w io.Writer) {
		defer s.streams.Add(-1)
		follower.follow(r.Context(), w)
	}
	return response, nil
}

// follower is a client that reads events.
type follower struct {
	server   *Server
	wanted   lookUp
	last     uint64 // sequence number of the last exchange sent
	revision uint64
}

// follow writes events until the client disconnects or the server stops. A slow client delays
// nothing else, because follow reads the state anew after each write.
func (f *follower) follow(ctx context.Context, w io.Writer) {
	beats := time.NewTicker(heartbeat)
	defer beats.Stop()
	for {
		worlds, requests := f.server.worlds.Load(), f.server.journal.Since(f.last)
		if !send(w, f.news(worlds.Revision, requests)) {
			return
		}
		select {
		case <-worlds.Changed:
		case <-requests.Changed:
		case <-beats.C:
			if !send(w, ":\n\n") {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// news returns the events that the client does not know yet.
func (f *follower) news(revision uint64, requests journal.Snapshot) string {
	var events strings.Builder
	if revision != f.revision {
		writeEvent(&events, "revision", struct {
			Revision uint64 `json:"revision"`
		}{revision})
	}
	if requests.Dropped > 0 {
		writeEvent(&events, "dropped", struct {
			Count uint64 `json:"count"`
		}{requests.Dropped})
	}
	for _, e := range requests.Exchanges {
		if f.wanted.filter.Matches(e) {
			fmt.Fprintf(&events, "id: %d\n", e.Sequence)
			writeEvent(&events, "request", e)
		}
	}
	f.revision, f.last = revision, requests.Last
	return events.String()
}

func writeEvent(out *strings.Builder, name string, data any) {
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", data, err)) // cannot happen: the value is our own
	}
	fmt.Fprintf(out, "event: %s\ndata: %s\n\n", name, encoded)
}

// send writes text, and reports whether the client still reads.
func send(w io.Writer, text string) bool {
	if text == "" {
		return true
	}
	_, err := io.WriteString(w, text)
	return err == nil
}
