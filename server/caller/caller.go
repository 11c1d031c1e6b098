// Package caller knows how Google's services call others: the header fields and the form of the body
// of their requests, the audience of their tokens, which answers they take for success, and when
// they try again.
//
// It neither sends requests nor issues tokens: the command call does.
package caller

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Message describes a request that a caller is to send.
type Message struct {
	Target *url.URL
	Method string      // empty: the caller's usual one
	Header http.Header // the sender's own fields
	Body   []byte      // nil: none
	Time   time.Time   // when the first attempt is made
}

// Attempt describes the requests that were sent before for the same message.
type Attempt struct {
	Number   int // of earlier requests
	Answered int // of earlier requests that were answered with another status than 503
	Last     int // the status of the last answer; 0: there was none
}

// Next returns the next attempt after an answer with a status, or with status 0 if there was no answer.
func (a Attempt) Next(status int) Attempt {
	a.Number, a.Last = a.Number+1, status
	if status != 0 && status != http.StatusServiceUnavailable {
		a.Answered++
	}
	return a
}

// Caller is a service that calls others.
type Caller struct {
	Name     string
	Attempts int // how many requests it sends for a message, at most

	// Success holds the statuses that it takes for success; nil: 200 to 299.
	Success []int
	// Retries holds the statuses after which it tries again. If it is nil, it tries again after
	// every status except success.
	Retries []int

	audience func(target *url.URL) string
	backoff  backoff
	method   func(Message) string
	fill     func(http.Header, Message, Attempt) // sets the fields that identify it
	wrap     func(Message) []byte                // nil: the body stays as it is
	usual    map[string]string                   // fields that the message may override
}

// backoff is the wait before the next attempt, which grows by a factor up to a limit.
type backoff struct {
	first, limit time.Duration
	factor       float64
}

// The name of a request of a program with one of Google's libraries, not of a service of Google's.
const program = "program"

// Named returns the caller with this name. An empty name means a program.
func Named(name string) (Caller, bool) {
	if name == "" {
		name = program
	}
	all := callers()
	at := slices.IndexFunc(all, func(c Caller) bool { return c.Name == name })
	if at < 0 {
		return Caller{}, false
	}
	return all[at], true
}

// callers returns all callers. Real services try more often than these, for hours. These numbers of
// attempts are enough for a person who watches.
func callers() []Caller {
	const few = 5
	push := backoff{100 * time.Millisecond, time.Minute, 2}
	acknowledged := []int{http.StatusProcessing, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}
	return []Caller{
		{Name: program, Attempts: 1, audience: site, method: getOrPost, fill: nothing},
		{
			Name: "tasks", Attempts: few, audience: (*url.URL).String, method: post, backoff: backoff{100 * time.Millisecond, time.Hour, 2},
			fill: tasks, usual: map[string]string{"Content-Type": "application/octet-stream"},
		},
		{
			Name: "scheduler", Attempts: 1, audience: (*url.URL).String, method: post, fill: scheduler,
			usual: map[string]string{"Content-Type": "application/octet-stream"},
		},
		{Name: "pubsub", Attempts: few, Success: acknowledged, audience: (*url.URL).String, method: post, backoff: push, fill: pubsub, wrap: pushed},
		{Name: "eventarc", Attempts: few, Success: acknowledged, audience: bare, method: post, backoff: push, fill: eventarc, wrap: pushed},
		{
			Name: "workflows", Attempts: few + 1, audience: (*url.URL).String, method: getOrPost, backoff: backoff{time.Second, time.Minute, 1.25},
			Retries: []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
			fill:    workflows, usual: map[string]string{"Content-Type": "application/json"},
		},
	}
}

// Names returns the names of Google's services that call others.
func Names() []string {
	var names []string
	for _, c := range callers() {
		if c.Name != program {
			names = append(names, c.Name)
		}
	}
	return names
}

// Audience returns the audience of its tokens for a target, unless another is configured.
func (c Caller) Audience(target *url.URL) string { return c.audience(target) }

// IsSuccess reports whether the caller takes a status for success.
func (c Caller) IsSuccess(status int) bool {
	if c.Success != nil {
		return slices.Contains(c.Success, status)
	}
	return status >= 200 && status <= 299
}

// Again reports whether the caller tries again after an answer, and after which time. If there was
// no answer, the status is 0.
func (c Caller) Again(a Attempt) (after time.Duration, again bool) {
	failed := !c.IsSuccess(a.Last) && (c.Retries == nil || slices.Contains(c.Retries, a.Last))
	if !failed || a.Number >= c.Attempts {
		return 0, false
	}
	wait := float64(c.backoff.first)
	for range a.Number - 1 {
		wait *= c.backoff.factor
	}
	return min(time.Duration(wait), c.backoff.limit), true
}

// Method returns the method of the request for a message.
func (c Caller) Method(m Message) string {
	if m.Method != "" {
		return m.Method
	}
	return c.method(m)
}

// Body returns the body of the request for a message.
func (c Caller) Body(m Message) []byte {
	if c.wrap == nil {
		return m.Body
	}
	return c.wrap(m)
}

// Header returns the header of a request for a message. Fields that identify the caller override
// the message's fields, and the message overrides all others.
func (c Caller) Header(m Message, a Attempt) http.Header {
	header := http.Header{}
	if m.Body != nil || c.wrap != nil {
		for name, value := range c.usual {
			header.Set(name, value)
		}
	}
	maps.Copy(header, m.Header)
	if c.Name != program {
		maps.DeleteFunc(header, func(name string, _ []string) bool {
			return strings.HasPrefix(name, "X-Google-") || strings.HasPrefix(name, "X-Appengine-")
		})
	}
	c.fill(header, m, a)
	return header
}

func post(Message) string { return http.MethodPost }

func getOrPost(m Message) string {
	if m.Body != nil {
		return http.MethodPost
	}
	return http.MethodGet
}

// site returns the URL of the service that a target belongs to.
func site(target *url.URL) string { return target.Scheme + "://" + target.Host }

// bare returns a URL without its query and fragment.
func bare(target *url.URL) string {
	u := *target
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}

func set(header http.Header, fields ...string) {
	for i := 0; i+1 < len(fields); i += 2 {
		header.Set(fields[i], fields[i+1])
	}
}

func nothing(http.Header, Message, Attempt) {}

// taskName is the name of the task, the job and the message that a caller's requests are about.
const taskName = "1234567890"

// tasks sets the fields of Cloud Tasks
// (https://cloud.google.com/tasks/docs/creating-http-target-tasks#handler).
func tasks(header http.Header, m Message, a Attempt) {
	const nanos = 1e9
	set(header, "User-Agent", "Google-Cloud-Tasks",
		"X-CloudTasks-QueueName", "emulator", "X-CloudTasks-TaskName", taskName,
		"X-CloudTasks-TaskRetryCount", strconv.Itoa(a.Number), "X-CloudTasks-TaskExecutionCount", strconv.Itoa(a.Answered),
		"X-CloudTasks-TaskETA", strconv.FormatFloat(float64(m.Time.UnixNano())/nanos, 'f', 6, 64))
	if a.Last != 0 {
		set(header, "X-CloudTasks-TaskPreviousResponse", strconv.Itoa(a.Last),
			"X-CloudTasks-TaskRetryReason", "HTTP status "+strconv.Itoa(a.Last))
	}
}

// scheduler sets the fields of Cloud Scheduler
// (https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#HttpTarget).
func scheduler(header http.Header, m Message, _ Attempt) {
	set(header, "User-Agent", "Google-Cloud-Scheduler", "X-CloudScheduler", "true", "X-CloudScheduler-JobName", "emulator",
		"X-CloudScheduler-ScheduleTime", m.Time.Truncate(time.Second).Format(time.RFC3339))
}

// pubsub sets the fields of Pub/Sub's push requests.
func pubsub(header http.Header, _ Message, _ Attempt) {
	set(header, "User-Agent", "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)", "From", "noreply@google.com",
		"Accept", "application/json", "Content-Type", "application/json", "Accept-Encoding", "gzip, deflate, br")
}

// eventarc sets the fields of an event in binary mode, besides Pub/Sub's.
func eventarc(header http.Header, m Message, a Attempt) {
	pubsub(header, m, a)
	set(header, "Ce-Id", taskName, "Ce-Source", "//pubsub.googleapis.com/projects/demo-project/topics/emulator", "Ce-Specversion", "1.0",
		"Ce-Type", "google.cloud.pubsub.topic.v1.messagePublished", "Ce-Time", m.Time.UTC().Format(time.RFC3339Nano))
}

// workflows sets the user agent of Workflows. If the step sets a user agent, it follows the one of
// Workflows.
func workflows(header http.Header, _ Message, _ Attempt) {
	const own = "GoogleCloudWorkflows; (+https://cloud.google.com/workflows/docs)"
	set(header, "User-Agent", strings.TrimSpace(own+" "+header.Get("User-Agent")))
}
