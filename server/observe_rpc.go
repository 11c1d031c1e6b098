package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// call observes methods in gRPC, under the names of the same operations in JSON. Statuses are those of HTTP that the codes map to. A fault does what a
// client of gRPC would see of it; one that is about header fields strikes none.
func (o *observer) call(calls map[string]call) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, message any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		called, ok := calls[info.FullMethod]
		if !ok { // health checking and reflection
			return handle(ctx, message)
		}
		now, begun := o.clock.Both()
		about, route := called.Subject(message), called.Name
		e := journal.Exchange{
			Time: now, Method: http.MethodPost, Path: info.FullMethod, Route: route,
			Account: about.Account, Audience: about.Audience, UserAgent: callerOf(ctx),
		}
		met, isMet := o.faults.Decide(fault.Request{Route: route, Path: info.FullMethod, Answer: fault.Message, Subject: func() (string, string) {
			return about.Account, about.Audience
		}})
		var response any
		var err error
		if isMet {
			ctx = token.WithDefect(ctx, token.Defect(met.Defect))
			err = struck(ctx, met)
		}
		if err == nil {
			response, err = handle(ctx, message)
		}
		if isMet && err == nil && met.Malformed {
			response, err = nil, unreadable()
		}
		if isMet && met.Defect != "" && !token.IsDefective(ctx) {
			o.faults.Missed(met.ID)
		} else if isMet {
			e.Fault = met.ID
			o.counts.ObserveFault(route)
		}
		took := time.Since(begun)
		e.Duration = clock.Duration(took)
		if !wire.IsGone(ctx) {
			e.Status = callStatus(err)
		}
		o.journal.Append(e)
		o.counts.Observe(route, e.Status, took)
		return response, err
	}
}

// struck is the error that a fault brings about; nil where it brings none.
func struck(ctx context.Context, met fault.Fault) error {
	pause(ctx, time.Duration(met.Delay))
	switch {
	case met.HangUp != fault.Never:
		return googleapi.Unavailable("error reading from server: EOF") // as clients tell of it
	case met.Status == 0 || met.Status == http.StatusOK:
		return nil
	}
	known := googleapi.OfStatus(met.Status)
	if known == nil {
		known = &googleapi.Error{Code: met.Status, Message: wire.StatusText(met.Status), Status: "UNKNOWN"}
	}
	if body, _, replaced := met.Replacement(); replaced {
		known.Message = messageIn(body)
	}
	return known
}

// messageIn is the message of an error that a body has in JSON, or else the body.
func messageIn(body string) string {
	var document struct {
		Error googleapi.Error `json:"error"`
	}
	if json.Unmarshal([]byte(body), &document) == nil && document.Error.Message != "" {
		return document.Error.Message
	}
	return body
}

// unreadable is what a client makes of a message that breaks off.
func unreadable() error {
	return &googleapi.Error{
		Code: http.StatusInternalServerError, Status: "INTERNAL", Message: "grpc: failed to unmarshal the received message: unexpected EOF",
	}
}

func callStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if known, ok := errors.AsType[*googleapi.Error](err); ok {
		return known.Code
	}
	return http.StatusInternalServerError
}

func callerOf(ctx context.Context) string {
	incoming, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(incoming.Get("user-agent"), " ")
}
