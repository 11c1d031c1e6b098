// Package rpc is the vocabulary of Google's APIs in gRPC: bearer credentials in a call's
// metadata, the errors of package googleapi as statuses with details, and a server with
// health checking and reflection.
//
// It is the counterpart of JSON over HTTP in package googleapi, and knows no API; the
// surfaces register theirs.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/unplayed"
	"gcp-metadata-emulator/server/wire"
)

// NewServer returns a server, an http.Handler for HTTP/2, of methods by their full names. It logs
// errors that clients must not read. If a client calls another method, it calls unknown with the error
// for the client.
func NewServer(logger *slog.Logger, methods map[string]Method, unknown func(context.Context, *googleapi.Error, string)) *grpc.Server {
	server := grpc.NewServer(
		grpc.UnaryInterceptor(answer(logger)), grpc.MaxRecvMsgSize(wire.MaxBody),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(stream)
			refused := notPlayed(method)
			unknown(stream.Context(), refused, method)
			return asStatus(refused).Err()
		}),
	)
	for _, service := range services(methods) {
		server.RegisterService(service, nil)
	}
	healthpb.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	return server
}

// notPlayed returns the error for a method that the server does not have.
func notPlayed(method string) *googleapi.Error {
	refused := googleapi.NotPlayed(unplayed.Call(method))
	refused.Code, refused.Status = http.StatusNotImplemented, "UNIMPLEMENTED" // clients of gRPC do not try again after it
	return refused
}

// answer turns the result of a method, or its panic, into a status.
func answer(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
		defer func() {
			if problem := recover(); problem != nil {
				response, err = nil, fmt.Errorf("panic: %v\n%s", problem, debug.Stack())
			}
			err = statusOf(ctx, logger, info.FullMethod, err)
		}()
		return handle(ctx, request)
	}
}

func statusOf(ctx context.Context, logger *slog.Logger, method string, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*googleapi.Error](err); ok {
		return asStatus(known).Err()
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	logger.ErrorContext(ctx, "call failed", "method", method, "error", err)
	return status.Error(codes.Internal, "Internal error encountered.")
}

// asStatus is an error with its details (https://google.aip.dev/193).
func asStatus(known *googleapi.Error) *status.Status {
	var code codes.Code
	if code.UnmarshalJSON([]byte(`"`+known.Status+`"`)) != nil {
		code = codes.Unknown
	}
	var details []protoadapt.MessageV1
	for _, detail := range known.Details {
		switch detail := detail.(type) {
		case googleapi.ErrorInfo:
			details = append(details, &errdetails.ErrorInfo{Reason: detail.Reason, Domain: detail.Domain, Metadata: detail.Metadata})
		case googleapi.BadRequest:
			violations := &errdetails.BadRequest{}
			for _, violation := range detail.FieldViolations {
				violations.FieldViolations = append(violations.FieldViolations, &errdetails.BadRequest_FieldViolation{
					Field: violation.Field, Description: violation.Description,
				})
			}
			details = append(details, violations)
		}
	}
	plain := status.New(code, known.Message)
	if detailed, err := plain.WithDetails(details...); err == nil {
		return detailed
	}
	return plain
}

// Bearer is the bearer token of a call.
func Bearer(ctx context.Context, api guard.API, method string) (string, error) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	return guard.BearerOf(strings.Join(incoming.Get("authorization"), ","), api, method)
}
