package server

import (
	"context"
	"errors"
	"net/http"
	"path"
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

// call observes the methods of the IAM Credentials API in gRPC, under the names of the same
// operations in JSON. Statuses are those of HTTP that the codes map to. Of a fault, what is
// about bytes and headers has no meaning here.
func (o *observer) call(subject func(message any) wire.Subject) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, message any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		method := path.Base(info.FullMethod)
		route := "iamcredentials." + strings.ToLower(method[:1]) + method[1:]
		if !strings.Contains(info.FullMethod, "IAMCredentials/") {
			return handle(ctx, message)
		}
		now, begun := o.clock.Both()
		about := subject(message)
		e := journal.Exchange{
			Time: now, Method: http.MethodPost, Path: info.FullMethod, Route: route,
			Account: about.Account, Audience: about.Audience, UserAgent: callerOf(ctx),
		}
		met, isMet := o.faults.Decide(fault.Request{Route: route, Path: info.FullMethod, Subject: func() (string, string) {
			return about.Account, about.Audience
		}})
		var response any
		var err error
		if isMet {
			e.Fault = met.ID
			o.counts.ObserveFault(route)
			ctx = token.WithDefect(ctx, token.Defect(met.Defect))
			err = struck(ctx, met)
		}
		if err == nil {
			response, err = handle(ctx, message)
		}
		took := time.Since(begun)
		e.Status, e.Duration = callStatus(err), clock.Duration(took)
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
	if known := googleapi.OfStatus(met.Status); known != nil {
		return known
	}
	return &googleapi.Error{Code: met.Status, Message: http.StatusText(met.Status), Status: "UNKNOWN"}
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
