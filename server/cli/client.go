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
)

// clientFlags are those of every command that talks to a running emulator.
type clientFlags struct {
	URL        string `name:"url" default:"http://127.0.0.1:8254" placeholder:"URL" help:"The running emulator (${default})."`
	ControlURL string `name:"control-url" placeholder:"URL" help:"Its control plane, where that has an address of its own (the same)."`
}

// usualURL is where an emulator is found that was not told to be elsewhere.
const usualURL = "http://127.0.0.1:8254"

const clientTimeout = 30 * time.Second

// base is the URL, checked.
func (f clientFlags) base() (*url.URL, error) {
	return baseOf(f.URL)
}

// control is the URL of the control plane, checked.
func (f clientFlags) control() (*url.URL, error) {
	return baseOf(cmp.Or(f.ControlURL, f.URL))
}

func baseOf(text string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || base.Scheme != "http" || base.Host == "" || base.Path != "" {
		return nil, &usageError{fmt.Errorf("%q is not the URL of an emulator, such as http://127.0.0.1:8254", text)}
	}
	return base, nil
}

// controlPath is what the paths of the control plane begin with.
const controlPath = "/emulator/"

// get reads a resource of the emulator.
func (f clientFlags) get(ctx context.Context, resource string) (string, error) {
	return f.call(ctx, http.MethodGet, resource, http.NoBody)
}

// post sends JSON to a resource of the emulator.
func (f clientFlags) post(ctx context.Context, resource string, message any) (string, error) {
	body, err := json.Marshal(message)
	if err != nil {
		return "", fmt.Errorf("encode a request: %w", err)
	}
	return f.call(ctx, http.MethodPost, resource, bytes.NewReader(body))
}

func (f clientFlags) call(ctx context.Context, method, resource string, body io.Reader) (string, error) {
	find := f.base
	if strings.HasPrefix(resource, controlPath) {
		find = f.control
	}
	base, err := find()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, base.String()+resource, body)
	if err != nil {
		return "", fmt.Errorf("ask the emulator for %q: %w", resource, err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
	client := &http.Client{Transport: &http.Transport{Proxy: nil}} // never the way to an emulator
	response, err := client.Do(request)
	if err != nil {
		return "", &hintError{
			message: fmt.Sprintf("no emulator answers at %q: %v", base, rootCause(err)),
			hint:    "start one with: " + program + " serve; or say where it is with --url",
			cause:   err,
		}
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("read the emulator's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return "", refusal(response.StatusCode, answer)
	}
	return string(answer), nil
}

// refusal is what the emulator says of a request that it does not serve.
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
		message: fmt.Sprintf("the server answers with status %d", status),
		hint:    "is it an emulator? say where it is with --url, and where its control plane is, if that is elsewhere, with --control-url",
	}
}
