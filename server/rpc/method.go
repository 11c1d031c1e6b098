package rpc

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Method answers the calls of one method of an API.
type Method struct {
	request func() any // an empty message
	answer  func(ctx context.Context, request any) (Answer, error)
}

// Answer is the answer of a method.
type Answer struct {
	Message proto.Message

	// Defective reports whether the message carries a token with the defect that the context of
	// the call asks for.
	Defective bool
}

// Unary returns the method of a function of its message.
func Unary[Request any](answer func(context.Context, *Request) (Answer, error)) Method {
	return Method{
		request: func() any { return new(Request) },
		answer: func(ctx context.Context, request any) (Answer, error) {
			response, err := answer(ctx, request.(*Request))
			if refused, ok := wire.Unavailable(err); ok {
				err = googleapi.OfUnavailable(refused)
			}
			return response, err
		},
	}
}

// Around returns the method with a function around its answers.
func (m Method) Around(wrap func(ctx context.Context, request any, next func(context.Context) (Answer, error)) (Answer, error)) Method {
	return Method{m.request, func(ctx context.Context, request any) (Answer, error) {
		return wrap(ctx, request, func(ctx context.Context) (Answer, error) { return m.answer(ctx, request) })
	}}
}

// IsZero reports whether there is no method.
func (m Method) IsZero() bool { return m.answer == nil }

// services describes the services to which methods belong, for a grpc.Server.
func services(methods map[string]Method) map[string]*grpc.ServiceDesc {
	services := map[string]*grpc.ServiceDesc{}
	for _, full := range slices.Sorted(maps.Keys(methods)) {
		service, name, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
		if services[service] == nil {
			services[service] = &grpc.ServiceDesc{ServiceName: service}
		}
		services[service].Methods = append(services[service].Methods, methods[full].describe(full, name))
	}
	return services
}

// describe describes the method for a grpc.Server, as generated code does.
func (m Method) describe(full, name string) grpc.MethodDesc {
	handle := func(ctx context.Context, request any) (any, error) {
		answer, err := m.answer(ctx, request)
		if err != nil {
			return nil, err
		}
		return answer.Message, nil
	}
	return grpc.MethodDesc{MethodName: name, Handler: func(
		_ any, ctx context.Context, decode func(any) error, around grpc.UnaryServerInterceptor,
	) (any, error) {
		request := m.request()
		if err := decode(request); err != nil {
			return nil, err
		}
		if around == nil {
			return handle(ctx, request)
		}
		return around(ctx, request, &grpc.UnaryServerInfo{FullMethod: full}, handle)
	}}
}
