package inject

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/rpc"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// Call answers a call in gRPC as a fault demands, with the same effect for the client as over HTTP.
// The method gives the answer that the fault changes. struck reports whether the fault made a
// difference.
func Call(ctx context.Context, met fault.Fault, method func(context.Context) (rpc.Answer, error)) (answer rpc.Answer, struck bool, err error) {
	pause(ctx, time.Duration(met.Delay))
	if err := failure(met); err != nil {
		return rpc.Answer{}, true, err
	}
	if met.Defect != "" {
		ctx = token.WithDefect(ctx, token.Defect(met.Defect))
	}
	answer, err = method(ctx)
	struck = met.Defect == "" || answer.Defective
	if err == nil && met.Malformed {
		return rpc.Answer{}, struck, unreadable()
	}
	return answer, struck, err
}

// failure returns the error that a fault causes, or nil if the method answers.
func failure(met fault.Fault) error {
	switch {
	case met.HangUp != fault.Never:
		return googleapi.Unavailable("error reading from server: EOF") // the words of gRPC's clients
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

// messageIn returns the message of the JSON error in a body. If there is none, it returns the body.
func messageIn(body string) string {
	var document struct {
		Error googleapi.Error `json:"error"`
	}
	if json.Unmarshal([]byte(body), &document) == nil && document.Error.Message != "" {
		return document.Error.Message
	}
	return body
}

// unreadable returns the error of a client that receives half of a message.
func unreadable() error {
	return &googleapi.Error{
		Code: http.StatusInternalServerError, Status: "INTERNAL", Message: "grpc: failed to unmarshal the received message: unexpected EOF",
	}
}
