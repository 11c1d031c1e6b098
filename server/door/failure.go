package door

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"

	"gcp-metadata-emulator/server/outward"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// maxBytes is the maximum size of a request body, and of an answer that is not streamed, if the
// upstream speaks HTTP/1 (https://cloud.google.com/run/quotas#request_limits).
const maxBytes = 32 << 20

var (
	errRequestTooLarge = errors.New("the request body is larger than 32 MiB")
	errAnswerTooLarge  = errors.New("the answer is larger than 32 MiB and is not streamed")
	errNoUpstream      = errors.New("no upstream is set")
	errLoop            = errors.New("the request goes in circles")
)

// outcome returns the status for an error of an upstream, and a sentence for the log. The status is 0
// if the client has gone.
func outcome(r *http.Request, service *world.Service, err error) (status int, why string) {
	cause := context.Cause(r.Context())
	switch {
	case errors.Is(cause, errTimeout):
		return http.StatusGatewayTimeout, fmt.Sprintf("service %q has not answered within its request timeout of %s", service.Name, service.Timeout)
	case cause != nil:
		return interruption(cause)
	case errors.Is(err, errRequestTooLarge):
		return http.StatusRequestEntityTooLarge, errRequestTooLarge.Error() + ", and the upstream speaks HTTP/1; with http2: true there is no limit"
	case errors.Is(err, errAnswerTooLarge):
		return http.StatusInternalServerError, errAnswerTooLarge.Error() + "; send it in chunks"
	case errors.Is(err, errNoUpstream):
		return http.StatusServiceUnavailable, fmt.Sprintf("service %q has no upstream: write one in its ingress, such as upstream: http://127.0.0.1:8080", service.Name)
	case errors.Is(err, errLoop):
		return http.StatusServiceUnavailable, fmt.Sprintf(
			"the request has passed %d proxies: the upstream of service %q, %s, may lead back to this door", hops(r), service.Name, service.Upstream)
	default:
		return http.StatusServiceUnavailable, breakdown(err, "service "+strconv.Quote(service.Name), service.Upstream)
	}
}

// interruption returns the status and the sentence for a request after the end of its context. If
// the client has gone, the status is 0.
func interruption(cause error) (status int, why string) {
	if errors.Is(cause, wire.ErrStopping) {
		return http.StatusServiceUnavailable, "the emulator is being stopped"
	}
	return 0, "the client has gone"
}

// breakdown returns a sentence about an upstream that does not answer.
func breakdown(err error, of string, upstream *url.URL) string {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Sprintf("nothing listens at %s, the upstream of %s", upstream, of)
	}
	if spared, ok := errors.AsType[*outward.SparedError](err); ok {
		return fmt.Sprintf("the emulator does not connect to %s, the upstream of %s: %v; if that is right, write the address in the fixture", upstream, of, spared)
	}
	return fmt.Sprintf("the upstream of %s broke the connection or sent a malformed answer", of)
}

// limitedBody is a request body with a maximum size.
type limitedBody struct {
	io.ReadCloser

	left int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if b.left -= int64(n); b.left < 0 {
		return 0, errRequestTooLarge
	}
	return n, err
}
