package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// clientFlags holds the flags of all commands that talk to a running emulator.
type clientFlags struct {
	URL        string `name:"url" default:"http://127.0.0.1:8254" placeholder:"URL" help:"Base URL of the running emulator, or unix:PATH (default: ${default})."`
	ControlURL string `name:"control-url" placeholder:"URL" help:"Base URL of its control plane, if started with --control-listen (default: the same as --url)."`
}

// usualURL is the default URL of an emulator.
const usualURL = "http://127.0.0.1:8254"

const clientTimeout = 30 * time.Second

// base returns the emulator's URL, or a usage error. Programs that are led to a URL need a host and
// a port, so the URL of a socket is a mistake.
func (f clientFlags) base() (*url.URL, error) {
	return baseOf(f.URL)
}

func baseOf(text string) (*url.URL, error) {
	if _, isSocket := socketPath(text); isSocket {
		return nil, &usageError{fmt.Errorf("%q is a socket, but programs find an emulator by host and port: use one with --listen HOST:PORT", text)}
	}
	base, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || base.Scheme != "http" || base.Host == "" || base.Path != "" {
		return nil, &usageError{fmt.Errorf("%q is not the URL of an emulator, such as http://127.0.0.1:8254", text)}
	}
	return base, nil
}

// controlPath is the prefix of the control plane's paths.
const controlPath = "/emulator/"

// get returns a resource of the emulator.
func (f clientFlags) get(ctx context.Context, resource string) (string, error) {
	return f.call(ctx, http.MethodGet, resource, http.NoBody)
}

// post sends JSON to a resource of the emulator, and returns the answer.
func (f clientFlags) post(ctx context.Context, resource string, message any) (string, error) {
	body, err := json.Marshal(message)
	if err != nil {
		return "", fmt.Errorf("encode a request: %w", err)
	}
	return f.call(ctx, http.MethodPost, resource, bytes.NewReader(body))
}

func (f clientFlags) call(ctx context.Context, method, resource string, body io.Reader) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	response, err := f.send(ctx, method, resource, body, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("read the emulator's answer: %w", err)
	}
	return string(answer), nil
}

// send sends a request with some header fields to a resource of the emulator, and returns the answer.
// The error is an *url.Error if the emulator cannot be reached.
func (f clientFlags) send(ctx context.Context, method, resource string, body io.Reader, header map[string]string) (*http.Response, error) {
	text := f.URL
	if strings.HasPrefix(resource, controlPath) {
		text = cmp.Or(f.ControlURL, f.URL)
	}
	at, err := endpointOf(text)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, at.base+resource, body)
	if err != nil {
		return nil, fmt.Errorf("ask the emulator for %q: %w", resource, err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DialContext: at.dial}} // the emulator is never behind a proxy
	response, err := client.Do(request)
	if err != nil {
		return nil, &hintError{
			message: fmt.Sprintf("cannot reach an emulator at %q: %v", text, rootCause(err)),
			hint:    "start one with: " + program + " serve; or set its address with --url",
			cause:   err,
		}
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the emulator's answer: %w", err)
	}
	return nil, refusal(response.StatusCode, answer)
}

// refusal returns the error in the emulator's answer.
func refusal(status int, body []byte) error {
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Error.Message != "" {
		return errors.New(answer.Error.Message)
	}
	return &hintError{
		message: fmt.Sprintf("the server answered with status %d", status),
		hint:    "check that --url is the address of an emulator; if it was started with --control-listen, also set --control-url",
	}
}

// run returns the ID of the emulator's run, which each start changes.
func (f clientFlags) run(ctx context.Context) (uuid.UUID, error) {
	answer, err := f.get(ctx, "/emulator/v1/livez")
	if err != nil {
		return uuid.Nil, err
	}
	var status struct {
		Run uuid.UUID `json:"run"`
	}
	if err := json.Unmarshal([]byte(answer), &status); err != nil || status.Run == uuid.Nil {
		return uuid.Nil, &hintError{
			message: fmt.Sprintf("the server at %q did not send an emulator's run ID", cmp.Or(f.ControlURL, f.URL)),
			hint:    "check that it is an emulator of this version, or set another address with --url", cause: err,
		}
	}
	return status.Run, nil
}
