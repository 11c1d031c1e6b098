package compare_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/script"
)

// plant is a mistake of a server, and the differences that show it: aspects, with a text from the request or
// from either side.
type plant struct {
	name  string
	ask   func(request string) string            // nil: the request stays
	spoil func(request string, a *script.Answer) // nil: the answer stays
	shown []shown
}

type shown struct {
	aspect compare.Aspect
	by     string
}

// fits reports whether a difference is the expected difference. A request line must be the whole line of the
// difference.
func (s shown) fits(d compare.Difference) bool {
	if d.Aspect != s.aspect {
		return false
	}
	if regexp.MustCompile(`\A[A-Z]+ /`).MatchString(s.by) {
		return d.Request == s.by
	}
	return strings.Contains(d.Request+" | "+d.Real+" | "+d.Emulated, s.by)
}

// statuses returns the differences in the status of the answers to requests.
func statuses(lines ...string) []shown {
	var all []shown
	for _, line := range lines {
		all = append(all, shown{compare.Status, line})
	}
	return all
}

// gardens are plants that do not hide each other.
func gardens() map[string][]plant {
	return map[string][]plant{"header": inHeaders(), "body": inBodies(), "behaviour": inBehaviour()}
}

func inHeaders() []plant {
	return []plant{
		{"302 for 301", nil, func(_ string, a *script.Answer) {
			if a.Status == 301 {
				a.Status = 302
			}
		}, []shown{{compare.Status, "302, to http"}}},
		{"a field is missing", nil, func(_ string, a *script.Answer) { remove(a, "X-Frame-Options") }, []shown{{compare.ExtraField, "absent"}}},
		{"a field too many", nil, func(_ string, a *script.Answer) { a.Headers = append(a.Headers, "X-Powered-By: something") }, []shown{{compare.MissingField, "X-Powered-By"}}},
		{"another server", nil, func(_ string, a *script.Answer) { set(a, "Server", "Metadata Server") }, []shown{{compare.FieldValue, "Server: Metadata Server"}}},
		{"Etag for ETag", nil, func(_ string, a *script.Answer) { respell(a, "Etag") }, []shown{{compare.FieldCase, "Etag"}}},
		{"another order", nil, func(_ string, a *script.Answer) { slices.Reverse(a.Headers) }, []shown{{compare.FieldOrder, "content-length, date, x-xss-protection, server, metadata-flavor, etag, content-type | "}}},
		{"a character set in the type", nil, func(_ string, a *script.Answer) {
			if value, _ := a.Header("Content-Type"); value == "application/text" {
				set(a, "Content-Type", "application/text; charset=utf-8")
			}
		}, []shown{{compare.FieldValue, "application/text; charset=utf-8"}}},
		{"a quoted ETag", nil, func(_ string, a *script.Answer) {
			if tag, ok := a.Header("ETag"); ok {
				set(a, "ETag", `"`+tag+`"`)
			}
		}, []shown{{compare.FieldValue, "tag: \""}, {compare.Behaviour, "a wait of a second ends: early"}}},
		{"Google's name", nil, func(_ string, a *script.Answer) { a.Headers = append(a.Headers, "Via: 1.1 google") }, []shown{{compare.Behaviour, "header fields that name Google: Via"}, {compare.MissingField, "Via"}}},
		{"a time of its own", nil, func(_ string, a *script.Answer) { set(a, "Date", "today") }, []shown{{compare.FieldValue, "Date: today"}}},
	}
}

func inBodies() []plant {
	listing := func(path string, change func(body string) string) func(string, *script.Answer) {
		return func(request string, a *script.Answer) {
			if strings.HasPrefix(request, "GET "+path+" ") && a.Status == 200 {
				setBody(a, change(a.Body))
			}
		}
	}
	const instance = "/computeMetadata/v1/instance/"
	return []plant{
		{"no newline after a listing", nil, listing("/computeMetadata/v1/project/", func(body string) string { return strings.TrimSuffix(body, "\n") }), []shown{{compare.Newline, "project/"}}},
		{"a newline after a value", nil, listing(instance+"name", func(body string) string { return body + "\n" }), []shown{{compare.Newline, "instance/name"}}},
		{"another order of a listing", nil, listing(instance+"scheduling/", func(body string) string {
			lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
			slices.Reverse(lines)
			return strings.Join(lines, "\n") + "\n"
		}), []shown{{compare.LineOrder, "scheduling/"}}},
		{"listed, but not readable", nil, listing(instance+"disks/0/", func(body string) string { return body + "phantom\n" }), []shown{{compare.Body, "disks/0/"}, {compare.Unreadable, "disks/0/phantom"}}},
		{"readable, but not listed", nil, listing(instance+"network-interfaces/0/", func(body string) string { return strings.Replace(body, "mtu\n", "", 1) }), []shown{{compare.Body, "network-interfaces/0/"}}},
		{"escaped JSON", nil, func(request string, a *script.Answer) {
			if strings.Contains(request, "attributes/?recursive=true") {
				setBody(a, strings.ReplaceAll(a.Body, "<", `\u003c`))
			}
		}, []shown{{compare.Body, "attributes/?recursive=true"}}},
		{"JSON with spaces", nil, func(request string, a *script.Answer) {
			if strings.Contains(request, "network-interfaces/?recursive=true ") {
				setBody(a, strings.ReplaceAll(a.Body, `":`, `": `))
			}
		}, []shown{{compare.Body, "network-interfaces/?recursive=true"}}},
		{"a number that is a text", nil, listing(instance+"id?alt=json", func(body string) string { return `"` + body + `"` }), []shown{{compare.Body, "id?alt=json"}}},
		{"another page", nil, func(_ string, a *script.Answer) {
			if a.Status == 404 {
				setBody(a, "not found\n")
			}
		}, []shown{{compare.Body, "not found"}, {compare.FieldValue, "Content-Length: 10"}}},
		{"an unknown entry exists", nil, func(request string, a *script.Answer) {
			if strings.HasPrefix(request, "GET /computeMetadata/v1/instance/region ") {
				a.Status = 200
			}
		}, []shown{{compare.Status, "instance/region"}}},
		{"one more member of a token", nil, func(_ string, a *script.Answer) {
			if strings.HasPrefix(a.Body, `{"access_token"`) {
				setBody(a, strings.Replace(a.Body, "}", `,"scope":"x"}`, 1))
			}
		}, []shown{{compare.TokenForm, `"scope":"x"`}}},
		{"an e-mail address in each ID token", nil, func(_ string, a *script.Answer) {
			if parts := strings.Split(a.Body, "."); strings.HasPrefix(a.Body, "eyJ") && len(parts) == 3 {
				claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
				if !strings.Contains(string(claims), `"email"`) {
					parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), "{", `{"email":"x@example.com",`, 1)))
				}
				setBody(a, strings.Join(parts, "."))
			}
		}, []shown{{compare.IdentityForm, "claim email"}, {compare.Behaviour, "claim email: "}}},
		{"no answer", nil, func(request string, a *script.Answer) {
			if strings.HasPrefix(request, "GET /computeMetadata/v1/instance/hostname ") {
				a.Status = 0
			}
		}, []shown{{compare.Silence, "instance/hostname"}}},
	}
}

func inBehaviour() []plant {
	var requests atomic.Int64
	seconds := regexp.MustCompile(`"expires_in":[0-9]+`)
	return []plant{
		{"no flavour is needed", func(request string) string {
			return strings.Replace(request, "\r\n", "\r\nMetadata-Flavor: Google\r\n", 1)
		}, nil, statuses("GET /computeMetadata/v1/instance/name", "GET /computeMetadata/v1/instance/?recursive=true", "GET /computeMetadata/v1/nothing", "GET /computeMetadata/v1/oslogin/users?username=dev")},
		{"a forwarded request is answered", func(request string) string {
			return strings.ReplaceAll(request, "X-Forwarded-For:", "X-Other:")
		}, nil, statuses("GET /", "GET /computeMetadata/v1/instance/name")},
		{"nobody waits", func(request string) string {
			return strings.ReplaceAll(request, "wait_for_change=", "other=")
		}, nil, []shown{{compare.Status, "wait_for_change"}, {compare.Behaviour, "a wait of a second ends: early"}, {compare.Body, "other=true"}}},
		{"an ETag for each request", nil, func(_ string, a *script.Answer) {
			if _, ok := a.Header("ETag"); ok {
				set(a, "ETag", fmt.Sprintf("%x", requests.Add(1)))
			}
		}, []shown{{compare.Behaviour, "the same value again: another ETag"}, {compare.Behaviour, "a value as JSON: another ETag"}, {compare.Behaviour, "the ETag after a wait: another one"}}},
		{"a token that does not count down", nil, func(_ string, a *script.Answer) {
			if seconds.MatchString(a.Body) {
				setBody(a, seconds.ReplaceAllString(a.Body, `"expires_in":3599`))
			}
		}, []shown{{compare.Behaviour, "expires_in of the same token: stays"}}},
		{"scopes are not checked", func(request string) string {
			return strings.ReplaceAll(request, "enforce_scopes=", "other=")
		}, nil, []shown{{compare.Status, "enforce_scopes"}}},
	}
}

// TestPlanted plants mistakes in a server, and expects all of them and nothing else to be found.
func TestPlanted(t *testing.T) {
	t.Parallel()
	total := 0
	for name, plants := range gardens() {
		total += len(plants)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := emulate(t, "instances: [{name: some-vm, metadata: {instance: {attributes: {other: '<a>'}}}}]")
			report, err := compare.Run(t.Context(), options(t, "http://"+spoilt(t, e.Address, plants)))
			if err != nil {
				t.Fatal(err)
			}
			checkPlanted(t, plants, report)
		})
	}
	if total < 25 {
		t.Errorf("only %d mistakes are planted", total)
	}
}

// checkPlanted expects a report of all plants, and of nothing else.
func checkPlanted(t *testing.T, plants []plant, report compare.Report) {
	t.Helper()
	var explained []shown
	for _, p := range plants {
		explained = append(explained, p.shown...)
		for _, s := range p.shown {
			if !slices.ContainsFunc(report.Differences, s.fits) {
				t.Errorf("%q is not found by %s, %q", p.name, s.aspect, s.by)
			}
		}
	}
	for _, d := range report.Differences {
		if !slices.ContainsFunc(explained, func(s shown) bool { return s.fits(d) }) {
			t.Errorf("nothing was planted for %s: %q, %q, %q", d.Aspect, d.Request, d.Real, d.Emulated)
		}
		if d.Rule == "" || d.RestsOn == "" {
			t.Errorf("no rule is broken by %+v", d)
		}
	}
}

// spoilt serves the answers of an emulator with mistakes, and returns the address.
func spoilt(t *testing.T, upstream string, plants []plant) string {
	t.Helper()
	listener := emulatortest.Must[net.Listener](t)(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveSpoilt(conn, upstream, plants)
		}
	}()
	return listener.Addr().String()
}

// serveSpoilt answers one request.
func serveSpoilt(conn net.Conn, upstream string, plants []plant) {
	defer conn.Close()
	asked, err := readRequest(conn)
	if err != nil {
		return
	}
	onward := asked
	for _, p := range plants {
		if p.ask != nil {
			onward = p.ask(onward)
		}
	}
	above, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer above.Close()
	_, _ = io.WriteString(above, onward)
	method, _, _ := strings.Cut(asked, " ")
	answer, err := script.ReadAnswer(above, method)
	if err != nil {
		return
	}
	for _, p := range plants {
		if p.spoil != nil {
			p.spoil(asked, &answer)
		}
	}
	if answer.Status > 0 {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d Status\r\n%s\r\n\r\n%s", answer.Status, strings.Join(answer.Headers, "\r\n"), answer.Body)
	}
}

// readRequest reads a request.
func readRequest(from io.Reader) (string, error) {
	reader := bufio.NewReader(from)
	var asked strings.Builder
	length := 0
	for {
		line, err := reader.ReadString('\n')
		asked.WriteString(line)
		if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		if err != nil {
			return asked.String(), err
		}
		if line == "\r\n" {
			_, err := io.CopyN(&asked, reader, int64(length))
			return asked.String(), err
		}
	}
}

// set sets a field that an answer has.
func set(a *script.Answer, name, value string) {
	for i, field := range a.Headers {
		if own, _, _ := strings.Cut(field, ":"); strings.EqualFold(own, name) {
			a.Headers[i] = own + ": " + value
		}
	}
}

func respell(a *script.Answer, name string) {
	for i, field := range a.Headers {
		if own, value, _ := strings.Cut(field, ":"); strings.EqualFold(own, name) {
			a.Headers[i] = name + ":" + value
		}
	}
}

func remove(a *script.Answer, name string) {
	a.Headers = slices.DeleteFunc(a.Headers, func(field string) bool { return strings.HasPrefix(field, name+":") })
}

func setBody(a *script.Answer, body string) {
	set(a, "Content-Length", strconv.Itoa(len(body)))
	a.Body = body
}
