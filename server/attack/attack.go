// Package attack tries out which tokens a service lets in: a good token, and tokens with every defect
// that package token can make, in the places of the good token.
//
// It sends requests to this service only. It does not make tokens: the caller's Mint does, so that the
// emulator with the service's trusted keys signs them.
package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/token"
)

// Order describes a token, in the form of the control plane's operation that mints tokens.
type Order struct {
	Kind     token.Kind     `json:"kind"`
	Account  string         `json:"account,omitempty"`
	Audience string         `json:"audience,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
	Defect   token.Defect   `json:"defect,omitempty"`
}

// Target is the service to attack.
type Target struct {
	URL      string
	Method   string
	Header   string // the field that carries the token
	Audience string // of the good token
	Account  string // of the good token; empty: the default instance's account

	Mint func(context.Context, Order) (string, error)
}

// Result is the outcome of one attempt.
type Result struct {
	Token   string  `json:"token"` // what was sent, in a few words
	Status  int     `json:"status"`
	Verdict Verdict `json:"verdict"`
	Note    string  `json:"note,omitempty"`
}

// Verdict judges the answer to an attempt.
type Verdict string

// The verdicts. A service fails only with Hole and Closed.
const (
	Right   Verdict = "right"   // a good token was let in, or a bad one refused
	Hole    Verdict = "hole"    // a token was let in that must be refused
	Closed  Verdict = "closed"  // the good token was refused
	Lenient Verdict = "lenient" // a token was let in that some verifiers take
	Broken  Verdict = "broken"  // the service failed instead of refusing the token
)

// timeout limits how long one request may take.
const timeout = 10 * time.Second

// Run sends every attempt, one after the other. It stops after the good token if the service refuses it,
// because its other refusals then prove nothing.
func Run(ctx context.Context, target Target) ([]Result, error) {
	client := &http.Client{
		Transport:     &http.Transport{Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
	defer client.CloseIdleConnections()
	var results []Result
	good := ""
	for _, attempt := range attempts(target) {
		text, err := attempt.text(ctx, target, good)
		if err != nil {
			return nil, fmt.Errorf("mint the token for the attempt %q: %w", attempt.name, err)
		}
		status, err := target.send(ctx, client, text)
		if err != nil {
			return nil, fmt.Errorf("send the attempt %q: %w", attempt.name, err)
		}
		result := attempt.judge(status)
		results = append(results, result)
		if result.Verdict == Closed {
			break
		}
		if good == "" {
			good = text
		}
	}
	return results, nil
}

// send sends a token and returns the status of the answer. An empty text stands for no token. The status is 0 if the service
// ends the connection without an answer.
func (t Target) send(ctx context.Context, client *http.Client, text string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, t.Method, t.URL, http.NoBody)
	if err != nil {
		return 0, err
	}
	if text != "" {
		request.Header.Set(t.Header, t.scheme()+text)
	}
	response, err := client.Do(request)
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection can be used again
	return response.StatusCode, response.Body.Close()
}

// scheme returns the text before the token in the header field.
func (t Target) scheme() string {
	if strings.HasSuffix(strings.ToLower(t.Header), "authorization") {
		return "Bearer "
	}
	return ""
}

// kind returns the kind of the good token.
func (t Target) kind() token.Kind {
	if strings.EqualFold(t.Header, token.IAPHeader) {
		return token.KindIAP
	}
	return token.KindID
}

// text returns the token to send. good is the good token, which was sent before.
func (a attempt) text(ctx context.Context, target Target, good string) (string, error) {
	switch {
	case a.again:
		return good, nil
	case a.literal != nil:
		return *a.literal, nil
	}
	a.order.Account = target.Account
	return target.Mint(ctx, a.order)
}

// judge returns the result for the status of the answer.
func (a attempt) judge(status int) Result {
	letIn := status >= http.StatusOK && status < http.StatusMultipleChoices
	result := Result{Token: a.name, Status: status, Verdict: Right}
	switch {
	case a.rule == mustEnter && !letIn:
		result.Verdict = Closed
	case a.rule == mustNotEnter && letIn:
		result.Verdict, result.Note = Hole, a.why
	case a.rule == mayEnter && letIn:
		result.Verdict, result.Note = Lenient, a.why
	case !letIn && (status == 0 || status >= http.StatusInternalServerError):
		result.Verdict, result.Note = Broken, "the service fails instead of refusing the token"
	}
	return result
}

// Holes returns the names of the tokens that the service let in and must refuse.
func Holes(results []Result) []string {
	var names []string
	for _, result := range results {
		if result.Verdict == Hole {
			names = append(names, result.Token)
		}
	}
	return names
}

// IsClosed reports whether the service refused the good token.
func IsClosed(results []Result) bool {
	return slices.ContainsFunc(results, func(result Result) bool { return result.Verdict == Closed })
}
