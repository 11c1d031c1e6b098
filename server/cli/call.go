package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/server/caller"
	"gcp-metadata-emulator/server/door"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/token"
)

type callCommand struct {
	clientFlags `embed:""`

	As       string   `name:"as" placeholder:"ACCOUNT" help:"Service account or user that calls (default: the default instance's service account)."`
	Audience string   `env:"GCP_METADATA_EMULATOR_CALL_AUDIENCE" placeholder:"A" help:"Audience of the ID token (default: the scheme and host of the URL or, with --from, what that service of Google's takes)."`
	From     string   `placeholder:"SERVICE" values:"callers" help:"Call as a service of Google's does: ${callers}."`
	Method   string   `short:"X" name:"request" placeholder:"METHOD" help:"Method of the request (default: GET, or POST with data)."`
	Header   []string `short:"H" sep:"none" placeholder:"HEADER" help:"Header field, such as \"Accept: text/plain\"; may be repeated."`
	Data     *string  `short:"d" placeholder:"DATA" help:"Body of the request, or @FILE to read it from a file."`
	Target   string   `arg:"" name:"target" help:"URL to call. The URLs of the emulator's services lead to their doors."`
}

// Help returns examples.
func (*callCommand) Help() string {
	return `The request carries an ID token of the account, in X-Serverless-Authorization if a header field Authorization is given. The status goes to standard error and the body to standard output. The exit code is 0 if the caller takes the answer for success.

Examples:

    gcp-metadata-emulator call --as login@demo-project.iam.gserviceaccount.com http://127.0.0.1:8081/profiles/ada
    gcp-metadata-emulator call --from tasks -d '{"order": 1}' http://127.0.0.1:8081/tasks/ship
    gcp-metadata-emulator call --from pubsub -d hello http://127.0.0.1:8081/push`
}

// Run sends a request as a program or a service of Google's does, and prints the answer.
func (c *callCommand) Run(ctx context.Context, std streams) error {
	from, message, err := c.message(ctx)
	if err != nil {
		return err
	}
	to, err := c.address(ctx, message.Target)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport:     &http.Transport{Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       callTimeout,
	}
	for so := (caller.Attempt{}); ; {
		request, err := c.request(ctx, to, from, message, so)
		if err != nil {
			return err
		}
		status, err := perform(client, request, std)
		if so = so.Next(status); ctx.Err() != nil {
			return ctx.Err()
		}
		wait, again := from.Again(so)
		if !again {
			return outcome(from, status, err)
		}
		if err != nil {
			_, _ = fmt.Fprintf(std.err, "%s: %v\n", program, err)
		}
		_, _ = fmt.Fprintf(std.err, "%s: trying again in %s, as %s does\n", program, wait, from.Name)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// callTimeout limits how long one request may take: the deadline of Cloud Tasks.
const callTimeout = 10 * time.Minute

// message returns the caller and its message, or a usage error.
func (c *callCommand) message(ctx context.Context) (from caller.Caller, m caller.Message, err error) {
	from, known := caller.Named(c.From)
	if !known {
		return from, m, &usageError{fmt.Errorf("there is no caller %q; use one of: %s", c.From, callers())}
	}
	m = caller.Message{Method: c.Method, Header: http.Header{}, Time: time.Now()}
	m.Target, err = url.Parse(c.Target)
	if err != nil || m.Target.Scheme != "http" && m.Target.Scheme != "https" || m.Target.Host == "" {
		return from, m, &usageError{fmt.Errorf("%q is not a URL to call, such as http://127.0.0.1:8081/path", c.Target)}
	}
	for _, field := range c.Header {
		name, value, ok := strings.Cut(field, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return from, m, &usageError{fmt.Errorf("%q is not a header field, such as \"Accept: text/plain\"", field)}
		}
		m.Header.Add(name, strings.TrimSpace(value))
	}
	m.Body, err = c.body(ctx)
	return from, m, err
}

// body returns the data of the request, or nil if the user gave none.
func (c *callCommand) body(ctx context.Context) ([]byte, error) {
	if c.Data == nil {
		return nil, nil
	}
	name, isFile := strings.CutPrefix(*c.Data, "@")
	if !isFile {
		return []byte(*c.Data), nil
	}
	data, err := input.ReadNamed(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read the data from %q: %w", name, rootCause(err))
	}
	return data, nil
}

// address returns the URL for a request to the target. If the target is a URL of one of the
// emulator's services, this is the emulator's.
func (c *callCommand) address(ctx context.Context, target *url.URL) (*url.URL, error) {
	host := hostname.Of(target.Host)
	if hostname.IsLoopback(host) {
		return target, nil
	}
	list, err := c.instances(ctx)
	if err != nil {
		return nil, err
	}
	for _, instance := range list {
		if instance.Ingress == nil {
			continue
		}
		for _, known := range instance.Ingress.URLs {
			if service, err := url.Parse(known); err == nil && hostname.Of(service.Host) == host {
				at, err := c.base()
				if err != nil {
					return nil, err
				}
				to := *target
				to.Scheme, to.Host = at.Scheme, at.Host
				return &to, nil
			}
		}
	}
	return target, nil
}

// request returns the next request for a message, with a new token.
func (c *callCommand) request(ctx context.Context, to *url.URL, from caller.Caller, m caller.Message, so caller.Attempt) (*http.Request, error) {
	token, err := c.idToken(ctx, cmp.Or(c.Audience, from.Audience(m.Target)))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, from.Method(m), to.String(), bytes.NewReader(from.Body(m)))
	if err != nil {
		return nil, &usageError{err}
	}
	request.Header = from.Header(m, so)
	request.Host = cmp.Or(m.Header.Get("Host"), m.Target.Host)
	credential := ingress.Authorization
	if m.Header.Get(credential) != "" {
		credential = ingress.Serverless
	}
	request.Header.Set(credential, "Bearer "+token)
	return request, nil
}

// idToken returns an ID token of the account.
func (c *callCommand) idToken(ctx context.Context, audience string) (string, error) {
	order := tokenCommand{clientFlags: c.clientFlags, Kind: string(token.KindID), Account: c.As, Audience: audience}
	return order.mint(ctx)
}

// perform sends a request and prints the answer. If there is no answer, the status is 0.
func perform(client *http.Client, request *http.Request, std streams) (status int, err error) {
	answer, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("cannot reach %q: %w", request.URL, rootCause(err))
	}
	defer func() { _ = answer.Body.Close() }() // nothing was written
	_, _ = fmt.Fprintln(std.err, answer.Status)
	if reason := answer.Header.Get(door.ReasonHeader); reason != "" {
		_, _ = fmt.Fprintf(std.err, "%s: the door says: %s\n", program, reason)
	}
	_, err = io.Copy(std.out, answer.Body)
	return answer.StatusCode, err
}

// outcome returns an error unless the caller takes the answer for success.
func outcome(from caller.Caller, status int, err error) error {
	switch {
	case err != nil:
		return err
	case from.IsSuccess(status):
		return nil
	default:
		return &hintError{
			message: fmt.Sprintf("the caller %q takes status %d for a failure", from.Name, status),
			hint:    "the emulator's log, or GET /emulator/v1/requests, says why a door has refused a request",
		}
	}
}

// callers lists the services of Google's that call.
func callers() string { return strings.Join(caller.Names(), ", ") }
