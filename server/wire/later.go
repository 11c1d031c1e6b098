package wire

import (
	"context"
	"log/slog"
	"net/http"
)

// Later is an answer that is not known yet.
type Later struct {
	// Await returns when Then may have the answer, or when the context ends.
	Await func(ctx context.Context)

	// Then returns the answer, or a response that has it still later. After the end of the request's
	// context it returns the answer. The context may differ from the context before. If an Answer has
	// returned the response, Then never returns an error.
	Then Handler
}

// Now returns the answer, after its wait if there is one.
func (response Response) Now(r *http.Request) Response {
	for response.Later != nil {
		response.Later.Await(r.Context())
		response, _ = response.Later.Then(r)
	}
	return response
}

// Finally returns the response, which has its answer later, with a function to call. The response calls
// the function when the answer is known, and the function may change the answer.
func (response Response) Finally(call func(*http.Request, *Response)) Response {
	then := response.Later.Then
	response.Later = &Later{response.Later.Await, func(r *http.Request) (Response, error) {
		answer, err := then(r)
		if answer.Later != nil {
			return answer.Finally(call), err
		}
		call(r, &answer)
		return answer, err
	}}
	return response
}

// later makes errors of a response's Later answers too.
func (d Dialect) later(logger *slog.Logger, response *Response) {
	if response.Later == nil {
		return
	}
	answer := d.Answer(logger, response.Later.Then)
	response.Later = &Later{response.Later.Await, func(r *http.Request) (Response, error) { return answer(r), nil }}
}

// waiting is a request without an answer so far.
type waiting struct {
	response Response
	common   http.Header
}

// Await implements park.Waiting.
func (p *waiting) Await(ctx context.Context) { p.response.Later.Await(ctx) }

// Answer implements park.Waiting.
func (p *waiting) Answer(r *http.Request) http.Handler {
	p.response, _ = p.response.Later.Then(r)
	if p.response.Later != nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { write(w, r, p.common, &p.response) })
}
