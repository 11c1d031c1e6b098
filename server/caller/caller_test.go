package caller_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/caller"
)

func message(t *testing.T, target, body string) caller.Message {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	m := caller.Message{Target: u, Time: time.Date(2026, 11, 21, 12, 0, 0, 500e6, time.UTC)}
	if body != "" {
		m.Body = []byte(body)
	}
	return m
}

func named(t *testing.T, name string) caller.Caller {
	t.Helper()
	c, ok := caller.Named(name)
	if !ok {
		t.Fatalf("there is no caller %q", name)
	}
	return c
}

func TestCallers(t *testing.T) {
	t.Parallel()
	const target = "https://orders.example.com/a/b?c=d"
	own := http.Header{"User-Agent": {"own/1"}, "X-Google-Forged": {"1"}, "X-Appengine-Forged": {"1"}, "X-Own": {"1"}, "Content-Type": {"text/own"}}
	for name, want := range map[string]struct {
		audience, method string
		header           http.Header
	}{
		"": {"https://orders.example.com", "POST", own},
		"tasks": {target, "POST", http.Header{
			"User-Agent": {"Google-Cloud-Tasks"}, "X-Own": {"1"}, "Content-Type": {"text/own"},
			"X-Cloudtasks-Queuename": {"emulator"}, "X-Cloudtasks-Taskname": {"1234567890"}, "X-Cloudtasks-Taskretrycount": {"2"},
			"X-Cloudtasks-Taskexecutioncount": {"1"}, "X-Cloudtasks-Tasketa": {"1795262400.500000"},
			"X-Cloudtasks-Taskpreviousresponse": {"503"}, "X-Cloudtasks-Taskretryreason": {"HTTP status 503"},
		}},
		"scheduler": {target, "POST", http.Header{
			"User-Agent": {"Google-Cloud-Scheduler"}, "X-Own": {"1"}, "Content-Type": {"text/own"},
			"X-Cloudscheduler": {"true"}, "X-Cloudscheduler-Jobname": {"emulator"}, "X-Cloudscheduler-Scheduletime": {"2026-11-21T12:00:00Z"},
		}},
		"pubsub": {target, "POST", http.Header{
			"User-Agent": {"APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"}, "X-Own": {"1"},
			"From": {"noreply@google.com"}, "Accept": {"application/json"}, "Content-Type": {"application/json"}, "Accept-Encoding": {"gzip, deflate, br"},
		}},
		"eventarc": {"https://orders.example.com/a/b", "POST", http.Header{
			"User-Agent": {"APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"}, "X-Own": {"1"},
			"From": {"noreply@google.com"}, "Accept": {"application/json"}, "Content-Type": {"application/json"}, "Accept-Encoding": {"gzip, deflate, br"},
			"Ce-Id": {"1234567890"}, "Ce-Source": {"//pubsub.googleapis.com/projects/demo-project/topics/emulator"}, "Ce-Specversion": {"1.0"},
			"Ce-Type": {"google.cloud.pubsub.topic.v1.messagePublished"}, "Ce-Time": {"2026-11-21T12:00:00.5Z"},
		}},
		"workflows": {target, "POST", http.Header{
			"User-Agent": {"GoogleCloudWorkflows; (+https://cloud.google.com/workflows/docs) own/1"}, "X-Own": {"1"}, "Content-Type": {"text/own"},
		}},
	} {
		c, m := named(t, name), message(t, target, "data")
		m.Header = own.Clone()
		if got := c.Audience(m.Target); got != want.audience {
			t.Errorf("%q: audience %q, want %q", name, got, want.audience)
		}
		if got := c.Method(m); got != want.method {
			t.Errorf("%q: method %q, want %q", name, got, want.method)
		}
		if diff := cmp.Diff(want.header, c.Header(m, caller.Attempt{Number: 2, Answered: 1, Last: 503})); diff != "" {
			t.Errorf("%q: header (-want +got):\n%s", name, diff)
		}
		if m.Method = "PUT"; c.Method(m) != "PUT" {
			t.Errorf("%q: the method is %q", name, c.Method(m))
		}
	}
}

// Without a body, a request has no type, and a program or a workflow asks with GET.
func TestWithoutBody(t *testing.T) {
	t.Parallel()
	for name, method := range map[string]string{"": "GET", "workflows": "GET", "tasks": "POST", "scheduler": "POST", "pubsub": "POST"} {
		c, m := named(t, name), message(t, "http://localhost:1", "")
		if got := c.Method(m); got != method {
			t.Errorf("%q: method %q, want %q", name, got, method)
		}
		if got := c.Header(m, caller.Attempt{}).Get("Content-Type"); (got != "") != (name == "pubsub") {
			t.Errorf("%q: Content-Type %q", name, got)
		}
	}
	header := named(t, "tasks").Header(message(t, "http://localhost:1", "x"), caller.Attempt{})
	if header.Get("Content-Type") != "application/octet-stream" || header.Get("X-CloudTasks-TaskPreviousResponse") != "" {
		t.Errorf("the first request of a task: %v", header)
	}
}

// A push request wraps its data, with names in both spellings.
func TestPushBody(t *testing.T) {
	t.Parallel()
	var got any
	if err := json.Unmarshal(named(t, "pubsub").Body(message(t, "http://localhost:1", "hi")), &got); err != nil {
		t.Fatal(err)
	}
	const at, id = "2026-11-21T12:00:00.5Z", "1234567890"
	want := map[string]any{
		"subscription": "projects/demo-project/subscriptions/emulator",
		"message": map[string]any{
			"attributes": map[string]any{}, "data": "aGk=", "messageId": id, "message_id": id, "publishTime": at, "publish_time": at,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := string(named(t, "tasks").Body(message(t, "http://localhost:1", "hi"))); got != "hi" {
		t.Errorf("a task's body is %q", got)
	}
}

func TestSuccessAndRetries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		attempts, last int
		success, again bool
		after          time.Duration
	}{
		{"", 1, 200, true, false, 0},
		{"", 1, 302, false, false, 0},
		{"", 1, 503, false, false, 0},
		{"tasks", 1, 299, true, false, 0},
		{"tasks", 1, 404, false, true, 100 * time.Millisecond},
		{"tasks", 4, 0, false, true, 800 * time.Millisecond},
		{"tasks", 5, 503, false, false, 0},
		{"scheduler", 1, 500, false, false, 0},
		{"pubsub", 1, 204, true, false, 0},
		{"pubsub", 1, 102, true, false, 0},
		{"pubsub", 2, 206, false, true, 200 * time.Millisecond},
		{"eventarc", 1, 403, false, true, 100 * time.Millisecond},
		{"workflows", 1, 403, false, false, 0},
		{"workflows", 2, 429, false, true, 1250 * time.Millisecond},
		{"workflows", 6, 429, false, false, 0},
	} {
		c := named(t, test.name)
		after, again := c.Again(caller.Attempt{Number: test.attempts, Last: test.last})
		if c.IsSuccess(test.last) != test.success || again != test.again || after != test.after {
			t.Errorf("%+v: success %t, again %t after %s", test, c.IsSuccess(test.last), again, after)
		}
	}
	if _, ok := caller.Named("cron"); ok {
		t.Error("there is a caller named cron")
	}
	if diff := cmp.Diff([]string{"tasks", "scheduler", "pubsub", "eventarc", "workflows"}, caller.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
