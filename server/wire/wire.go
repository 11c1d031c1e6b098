// Package wire turns the result of a handler into an HTTP response.
//
// A [Handler] is a function from a request to a [Response] or an error. The [Dialect] of its
// surface adds the surface's header to every answer, and writes errors in the format of the
// surface. Handlers therefore never write to a connection. Errors unknown to the dialect go to
// the log, and their texts never to a client.
//
// The package knows no Google API. Packages oauthapi, googleapi and errorpage provide the
// dialects.
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

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/park"
	"gcp-metadata-emulator/server/reason"
)

// Response is an answer. The zero value is an empty answer with status 200.
type Response struct {
	Status      int // 0 for 200
	ContentType string
	Header      []Field // further headers
	Body        string

	// Shared holds common header fields of many answers, named as they are sent. It must not be
	// changed.
	Shared http.Header

	// Stream, if set, writes the body in pieces, in place of Body. Each write is sent at once,
	// and fails if the client does not read it.
	Stream func(w io.Writer)

	// Later, if set, has the answer later. Everything else in this response then means nothing.
	Later *Later

	// Abandoned means that the client left while the handler waited, so the answer is not sent.
	Abandoned bool

	// Defective reports whether the answer carries a token with the defect that the context of the
	// request asks for.
	Defective bool

	// About is the subject of the request if the handler knows it, or else nil.
	About *Subject

	// Refusal is the reason of a refusal, for the people who run the emulator, or nil if it is
	// unknown. Clients do not see it.
	Refusal *journal.Refusal
}

// Field is a header field. Its name is sent in this spelling. An empty value removes the dialect's
// field of that name.
type Field struct{ Name, Value string }

// Handler answers a request, or returns the error to answer with.
type Handler func(r *http.Request) (Response, error)

// Answer answers every request; its errors are answers too.
type Answer func(r *http.Request) Response

// Dialect is the format of a surface's answers.
type Dialect struct {
	// Header is part of every answer.
	Header []Field
	// Error writes an error: a Known error or an error of this package, such as a StatusError.
	Error func(r *http.Request, err error) Response
}

// MaxBody is the maximum size of a request body, in bytes.
const MaxBody = 1 << 20

// drained limits the further bytes to discard from a larger body.
const drained = 16 << 20

var (
	// ErrTooLarge reports a request body larger than MaxBody.
	ErrTooLarge = errors.New("request body is too large")
	// ErrUnread reports a malformed or incomplete request body.
	ErrUnread = errors.New("request body cannot be read")
	// ErrInternal replaces an error if clients must not see its text.
	ErrInternal = errors.New("internal error")
	// ErrStopping is the cause with which a stopping server cancels the contexts of waiting
	// requests.
	ErrStopping = errors.New("emulator is being stopped")
)

// Known is an error for the dialect to write. Package wire logs every other error and replaces
// it by ErrInternal.
type Known interface {
	error
	// KnownToClients marks the error; it does nothing.
	KnownToClients()
}

// Explained is a Known error with a reason for the people who run the emulator. Clients do not see
// the reason.
type Explained interface {
	Known
	Refusal() journal.Refusal
}

// Adapt turns a handler into an HTTP handler in the dialect.
func (d Dialect) Adapt(logger *slog.Logger, handle Handler) http.Handler {
	return d.Serve(d.Answer(logger, handle))
}

// Answer turns a handler into an Answer, with errors in the dialect.
func (d Dialect) Answer(logger *slog.Logger, handle Handler) Answer {
	return func(r *http.Request) Response {
		var response Response
		if err := safely(&response, r, handle); err != nil {
			return d.explained(r, disclose(r, logger, err))
		}
		d.later(logger, &response)
		return response
	}
}

// AnswerFound is Dialect.Answer of a handler that also takes the result of a look-up. Found is
// passed by value, so that the look-up allocates nothing.
func AnswerFound[Found any](
	d Dialect, logger *slog.Logger, handle func(*http.Request, Found) (Response, error),
) func(*http.Request, Found) Response {
	return func(r *http.Request, found Found) Response {
		var response Response
		if err := safelyFound(&response, r, found, handle); err != nil {
			return d.explained(r, disclose(r, logger, err))
		}
		d.later(logger, &response)
		return response
	}
}

// explained writes an error, and gives the answer the reason of the error.
func (d Dialect) explained(r *http.Request, err error) Response {
	response := d.Error(r, err)
	if explained, ok := err.(Explained); ok && response.Refusal == nil { //nolint:errorlint // disclose has unwrapped it
		response.Refusal = new(explained.Refusal())
	}
	if code, ok := codes()[err]; ok {
		response.Refusal = &journal.Refusal{Code: code, Reason: "the " + err.Error()}
	}
	return response
}

// codes returns the codes of this package's errors.
func codes() map[error]reason.Code {
	return map[error]reason.Code{ErrTooLarge: reason.TooLarge, ErrUnread: reason.Unreadable, ErrStopping: reason.Stopping}
}

// Serve turns an Answer into an HTTP handler, with the dialect's header.
func (d Dialect) Serve(answer Answer) http.Handler {
	common := http.Header{} // not canonical: names stay as they are spelled
	for _, field := range d.Header {
		common[field.Name] = append(common[field.Name], field.Value)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := answer(r)
		if response.Later != nil {
			park.Wait(w, r, &waiting{response, common})
			return
		}
		write(w, r, common, &response)
	})
}

// ReadBody reads the whole body of a request. If the body is larger than MaxBody, the error is
// ErrTooLarge.
func ReadBody(r *http.Request) ([]byte, error) { return ReadBodyUpTo(r, MaxBody) }

// ReadBodyUpTo is ReadBody with another limit in bytes.
func ReadBodyUpTo(r *http.Request, limit int) ([]byte, error) {
	if r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err == nil && len(body) > limit {
		// If the connection closes while the client still sends, the client does not see the
		// answer. Most clients finish after a little more.
		_, _ = io.CopyN(io.Discard, r.Body, drained)
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnread, err)
	}
	return body, nil
}

// DrainBody discards the body of a request, because net/http cannot detect that the client has
// gone while bytes are unread. If the body is larger than MaxBody, the error is ErrTooLarge.
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

// If a body is shorter than computed, net/http computes the Content-Length itself.
const computed = 2048

func write(w http.ResponseWriter, r *http.Request, common http.Header, response *Response) {
	header := w.Header()
	maps.Copy(header, common)
	maps.Copy(header, response.Shared)
	values := make([]string, 0, len(response.Header)+2) // one allocation for all values
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
	_, _ = io.WriteString(w, response.Body) // fails only if the client has gone
}

// remove removes a field in any spelling, and keeps net/http from adding its own.
func remove(header http.Header, name string) {
	for spelled := range header {
		if strings.EqualFold(spelled, name) {
			delete(header, spelled)
		}
	}
	header[http.CanonicalHeaderKey(name)] = nil
}

// safely calls a handler. It turns a panic of the handler into an error, which is logged and
// answered like any other.
func safely(response *Response, r *http.Request, handle Handler) (err error) {
	defer recovered(&err)
	*response, err = handle(r)
	return err
}

// safelyFound is safely for AnswerFound.
func safelyFound[Found any](
	response *Response, r *http.Request, found Found, handle func(*http.Request, Found) (Response, error),
) (err error) {
	defer recovered(&err)
	*response, err = handle(r, found)
	return err
}

// recovered turns a panic into an error; it is deferred.
func recovered(err *error) {
	if problem := recover(); problem != nil {
		*err = &panicError{problem: problem, stack: debug.Stack()}
	}
}

type panicError struct {
	problem any
	stack   []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.problem, e.stack) }

// IsGone reports whether the client of a request with this context has gone. It is false if the
// client waits while the server stops, because then the client gets an answer.
func IsGone(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrStopping)
}

// disclose returns the error for the dialect, and logs an error if the client must not see it.
func disclose(r *http.Request, logger *slog.Logger, err error) error {
	if known, ok := errors.AsType[Known](err); ok {
		return known
	}
	if refused, ok := Unavailable(err); ok {
		logger.WarnContext(r.Context(), "request changed nothing", "method", r.Method, "path", r.URL.Path, "error", refused)
		return refused
	}
	for _, sentinel := range []error{ErrTooLarge, ErrUnread, ErrStopping} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	if cause := context.Cause(r.Context()); cause != nil && errors.Is(err, cause) {
		return ErrInternal // the client has gone, and nobody reads the answer
	}
	logger.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	return ErrInternal
}
