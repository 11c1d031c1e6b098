// Package wire turns the result of a handler into an HTTP response.
//
// A [Handler] is a function from a request to a [Response] or an error. The [Dialect] of
// its surface puts the surface's headers on every answer and writes errors in the words
// that clients of that surface know. Handlers therefore never write to a connection, and
// the words of an error that no dialect knows go to the log and never to a client.
//
// The package knows no Google API; the vocabularies do (packages oauthapi, googleapi, errorpage).
package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
)

// Response is an answer. The zero value is an empty 200.
type Response struct {
	Status      int // 0 for 200
	ContentType string
	Header      []Field // further headers
	Body        string

	// Shared is header fields that answers have in common, named as they are sent; nobody
	// changes it.
	Shared http.Header

	// Stream writes a body piece by piece, in place of Body. Each write is sent at once, and
	// fails where the client does not take it.
	Stream func(w io.Writer)

	// Abandoned says that the client has gone while the handler waited, so that nobody gets it.
	Abandoned bool

	// About is what the request was about, where the handler has found out anyway; or nil.
	About *Subject
}

// Field is one line of a header. Its name is sent as it is spelled here. One without a value
// takes away what the dialect would send under the name.
type Field struct{ Name, Value string }

// Handler answers a request or says why not.
type Handler func(r *http.Request) (Response, error)

// Answer answers a request, in any case.
type Answer func(r *http.Request) Response

// Dialect is how a surface speaks.
type Dialect struct {
	// Header is put on every answer.
	Header []Field
	// Error writes an error: one that is Known, or one of this package's, such as a
	// StatusError.
	Error func(r *http.Request, err error) Response
}

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = 1 << 20

// drained is how much of a larger body is thrown away, in bytes.
const drained = 16 << 20

var (
	// ErrTooLarge says that a request body is larger than MaxBody.
	ErrTooLarge = errors.New("request body is too large")
	// ErrUnread says that a request body could not be read to its end: it is malformed, or
	// the client has gone.
	ErrUnread = errors.New("request body cannot be read")
	// ErrInternal stands for an error whose words are not the client's business.
	ErrInternal = errors.New("internal error")
	// ErrStopping says that the server is being stopped; it is the cause with which the
	// contexts of requests that are still waiting end.
	ErrStopping = errors.New("the emulator is being stopped")
)

// Known is an error that a dialect can write. Every other one is logged, and written as
// ErrInternal.
type Known interface {
	error
	// KnownToClients marks the error; it does nothing.
	KnownToClients()
}

// Adapt makes an HTTP handler of a handler that speaks a dialect.
func (d Dialect) Adapt(logger *slog.Logger, handle Handler) http.Handler {
	return d.Serve(d.Answer(logger, handle))
}

// Answer writes a handler's errors in the dialect.
func (d Dialect) Answer(logger *slog.Logger, handle Handler) Answer {
	return func(r *http.Request) Response {
		var response Response
		if err := safely(handle, r, &response); err != nil {
			return d.Error(r, disclose(r, logger, err))
		}
		return response
	}
}

// Serve makes an HTTP handler of answers in the dialect.
func (d Dialect) Serve(answer Answer) http.Handler {
	common := http.Header{} // not canonical: names stay as they are spelled
	for _, field := range d.Header {
		common[field.Name] = append(common[field.Name], field.Value)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := answer(r)
		write(w, r, common, &response)
	})
}

// ReadBody reads the whole body of a request. Of one that is larger than MaxBody it
// returns ErrTooLarge.
func ReadBody(r *http.Request) ([]byte, error) { return ReadBodyUpTo(r, MaxBody) }

// ReadBodyUpTo is ReadBody with another limit, in bytes.
func ReadBodyUpTo(r *http.Request, limit int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err == nil && len(body) > limit {
		// A client that is still sending when its connection is closed does not see the
		// answer. Most are done after a little more.
		_, _ = io.CopyN(io.Discard, r.Body, drained)
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnread, err)
	}
	return body, nil
}

// DrainBody throws the body of a request away. net/http notices that a client has gone only
// where there is no more of the body to come. Of one that is larger than MaxBody it returns
// ErrTooLarge.
func DrainBody(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	switch _, err := io.CopyN(io.Discard, r.Body, MaxBody+1); {
	case err == nil:
		return ErrTooLarge
	case errors.Is(err, io.EOF):
		return nil
	default:
		return fmt.Errorf("%w: %w", ErrUnread, err)
	}
}

// computed is the length below which net/http finds out the length of a body by itself.
const computed = 2048

func write(w http.ResponseWriter, r *http.Request, common http.Header, response *Response) {
	header := w.Header()
	maps.Copy(header, common)
	maps.Copy(header, response.Shared)
	values := make([]string, 0, len(response.Header)+2) // one allocation for all of them
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if response.ContentType != "" {
		set("Content-Type", response.ContentType)
	}
	if r.Method == http.MethodHead || len(response.Body) >= computed {
		set("Content-Length", strconv.Itoa(len(response.Body)))
	}
	for _, field := range response.Header {
		if field.Value == "" {
			remove(header, field.Name)
			continue
		}
		set(field.Name, field.Value)
	}
	if response.Status != 0 {
		w.WriteHeader(response.Status)
	}
	if response.Stream != nil && r.Method != http.MethodHead {
		response.Stream(newStream(w, r))
		return
	}
	_, _ = io.WriteString(w, response.Body) // a client that has gone needs no answer
}

// remove takes a field away, in any spelling, and keeps net/http from adding one of its own.
func remove(header http.Header, name string) {
	for spelled := range header {
		if strings.EqualFold(spelled, name) {
			delete(header, spelled)
		}
	}
	header[http.CanonicalHeaderKey(name)] = nil
}

// safely turns a panic into an error, so that it is logged and answered like one.
func safely(handle Handler, r *http.Request, response *Response) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = &panicError{problem: problem, stack: debug.Stack()}
		}
	}()
	*response, err = handle(r)
	return err
}

type panicError struct {
	problem any
	stack   []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.problem, e.stack) }

// IsGone tells by the context of a request whether its client has gone. One that is there while
// the server stops gets an answer.
func IsGone(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrStopping)
}

// disclose returns what a dialect may see of an error, and logs what it may not.
func disclose(r *http.Request, logger *slog.Logger, err error) error {
	if known, ok := errors.AsType[Known](err); ok {
		return known
	}
	for _, sentinel := range []error{ErrTooLarge, ErrUnread, ErrStopping} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	if cause := context.Cause(r.Context()); cause != nil && errors.Is(err, cause) {
		return ErrInternal // the client has gone: nobody will read it
	}
	logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	return ErrInternal
}
