package observer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/fault/inject"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/rpc"
	"gcp-metadata-emulator/server/wire"
)

// Call describes an operation in gRPC to an Observer.
type Call struct {
	Name    string // of the same operation in JSON
	Method  string // the full name of the method, which stands for the path
	Subject func(message any) wire.Subject
}

// Call returns a method in gRPC, observed. Statuses are the statuses of HTTP for the codes. A fault has
// the effect that a gRPC client would see; a fault of header fields strikes no call.
func (o *Observer) Call(call Call, method rpc.Method) rpc.Method {
	return method.Around(func(ctx context.Context, message any, answer func(context.Context) (rpc.Answer, error)) (rpc.Answer, error) {
		now, begun := o.clock.Both()
		about := call.Subject(message)
		e := journal.Exchange{
			Time: now, Method: http.MethodPost, Path: call.Method, Route: call.Name,
			Account: about.Account, Audience: about.Audience, UserAgent: callerOf(ctx),
		}
		ctx, refusal := journal.Watched(ctx)
		met, isMet := o.faults.Decide(fault.Request{Route: call.Name, Path: call.Method, Answer: fault.Message, Subject: func() (string, string) {
			return about.Account, about.Audience
		}})
		var response rpc.Answer
		var err error
		if isMet {
			response, err = o.struck(ctx, met, answer, &e)
		} else {
			response, err = answer(ctx)
		}
		if !wire.IsGone(ctx) {
			e.Status = callStatus(err)
		}
		if e.Explain(refusal); e.Reason == "" {
			e.Explain(refusalOf(err))
		}
		o.record(ctx, hostOf(ctx), &e, time.Since(begun))
		return response, err
	})
}

// UnknownCall returns a function that records a call under the name of a route, if the emulator does
// not play the method.
func (o *Observer) UnknownCall(route string) func(context.Context, *googleapi.Error, string) {
	return func(ctx context.Context, refused *googleapi.Error, method string) {
		now, begun := o.clock.Both()
		e := journal.Exchange{
			Time: now, Method: http.MethodPost, Path: method, Route: route, UserAgent: callerOf(ctx), Status: refused.Code,
		}
		e.Explain(new(refused.Refusal()))
		o.record(ctx, hostOf(ctx), &e, time.Since(begun))
	}
}

// struck answers a call that meets a fault.
func (o *Observer) struck(
	ctx context.Context, met fault.Fault, answer func(context.Context) (rpc.Answer, error), e *journal.Exchange,
) (rpc.Answer, error) {
	response, struck, err := inject.Call(ctx, met, answer)
	if !struck {
		o.faults.Missed(met.ID)
		return response, err
	}
	e.Fault = met.ID
	o.counts.ObserveFault(e.Route)
	return response, err
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

// refusalOf returns the reason of an error that clients may read, or nil.
func refusalOf(err error) *journal.Refusal {
	if known, ok := errors.AsType[wire.Explained](err); ok {
		return new(known.Refusal())
	}
	return nil
}

func callerOf(ctx context.Context) string { return incoming(ctx, "user-agent") }

func hostOf(ctx context.Context) string { return incoming(ctx, ":authority") }

// incoming returns the values of a header field of a call.
func incoming(ctx context.Context, name string) string {
	fields, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(fields.Get(name), " ")
}
