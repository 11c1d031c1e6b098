package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/compute/metadata"
)

const greeting = "instance/attributes/greeting"

// watch subscribes to an attribute, like a program that follows its configuration. Each time the
// program waits again, the attribute changes, and finally it is removed.
func watch(ctx context.Context) ([]string, error) {
	if err := set(ctx, greeting, "one"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	edits := map[string]func() error{
		"one": func() error { return set(ctx, greeting, "two") },
		"two": func() error { return set(ctx, "instance/attributes/other", "x") }, // a change that must not be reported
	}
	var told []string
	err := metadata.SubscribeWithContext(ctx, greeting, func(_ context.Context, value string, exists bool) error {
		told = append(told, fmt.Sprintf("%s %t", value, exists))
		if edit, ok := edits[value]; ok {
			go func() {
				err := whenWaiting(ctx, edit)
				if err == nil && value == "two" {
					err = whenWaiting(ctx, func() error { return control(ctx, http.MethodDelete, "instances/-/metadata/"+greeting, "", nil) })
				}
				if err != nil {
					cancel(err)
				}
			}()
		}
		return nil
	})
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return told, err
}

// agentReport holds the answers to the guest agent's query.
type agentReport struct {
	Greetings []string `json:"greetings"`
	ETags     []string `json:"etags"`
}

// agent asks like Google's guest agent: first for all metadata, then for changes since the last
// answer, until the timeout.
func agent(ctx context.Context) (agentReport, error) {
	var report agentReport
	etag := "NONE"
	ask := func(seconds int) error {
		var document struct {
			Instance struct {
				Attributes map[string]string `json:"attributes"`
			} `json:"instance"`
		}
		url := fmt.Sprintf("http://%s/computeMetadata/v1/?alt=json&last_etag=%s&recursive=true&timeout_sec=%d&wait_for_change=true",
			strings.TrimPrefix(emulator(), "http://"), etag, seconds)
		header, err := exchange(ctx, http.MethodGet, url, "", &document)
		if err != nil {
			return err
		}
		etag = header.Get("Etag")
		report.Greetings, report.ETags = append(report.Greetings, document.Instance.Attributes["greeting"]), append(report.ETags, etag)
		return nil
	}
	const usual, short = 60, 1
	if err := ask(usual); err != nil {
		return report, err
	}
	edited := make(chan error, 1)
	go func() { edited <- whenWaiting(ctx, func() error { return set(ctx, greeting, "hello") }) }()
	if err := ask(usual); err != nil {
		return report, err
	}
	if err := <-edited; err != nil {
		return report, err
	}
	return report, ask(short)
}

// whenWaiting runs an action when a request waits for a change.
func whenWaiting(ctx context.Context, do func() error) error {
	const pause = 20 * time.Millisecond
	for {
		var listed struct {
			Waiters []struct{} `json:"waiters"`
		}
		if err := control(ctx, http.MethodGet, "waiters", "", &listed); err != nil {
			return err
		}
		if len(listed.Waiters) > 0 {
			return do()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func set(ctx context.Context, path, value string) error {
	return control(ctx, http.MethodPut, "instances/-/metadata/"+path, fmt.Sprintf(`{"value": %q}`, value), nil)
}

// control sends a request to the emulator's control plane.
func control(ctx context.Context, method, path, body string, into any) error {
	_, err := exchange(ctx, method, emulator()+"/emulator/v1/"+path, body, into)
	return err
}

// exchange sends a request and, unless value is nil, decodes the JSON answer into it.
func exchange(ctx context.Context, method, url, body string, into any) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Metadata-Flavor", "Google")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // the answer has been read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, response.Status, text)
	}
	if into == nil {
		return response.Header, nil
	}
	return response.Header, json.Unmarshal(text, into)
}
