package script

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Answer is a response with its exact bytes.
type Answer struct {
	Status  int
	Headers []string // "Name: value", with the case of the names, in their order
	Body    string
}

// Header returns the value of a header field. The case of the name does not matter.
func (a Answer) Header(name string) (string, bool) {
	for _, line := range a.Headers {
		if key, value, _ := strings.Cut(line, ":"); strings.EqualFold(key, name) {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// Raw returns the bytes of a request in the form of the scripts, with more header fields. If the request has
// no Host field, it gets the host.
func Raw(request, host string, fields ...string) string {
	head, body, _ := strings.Cut(request, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	raw := []string{lines[0] + " HTTP/1.1"}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Host:") }) {
		raw = append(raw, "Host: "+host)
	}
	raw = append(raw, lines[1:]...)
	if body != "" {
		raw = append(raw, "Content-Length: "+strconv.Itoa(len(body)))
	}
	raw = append(raw, fields...)
	return strings.Join(append(raw, "", body), "\r\n")
}

// maxBody is the largest body that ReadAnswer takes, in bytes. A metadata server's largest values
// together have half a megabyte.
const maxBody = 16 << 20

// ReadAnswer reads an answer of HTTP/1.1 in answer to a request with a method.
func ReadAnswer(from io.Reader, method string) (Answer, error) {
	reader := bufio.NewReader(io.LimitReader(from, 2*maxBody))
	var got Answer
	var head strings.Builder
	for first := true; ; first = false {
		line, err := reader.ReadString('\n')
		if err != nil {
			return Answer{}, fmt.Errorf("the server sent no complete header: %w", err)
		}
		head.WriteString(line)
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if !first {
			got.Headers = append(got.Headers, line)
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head.String()), reader)), &http.Request{Method: method})
	if err != nil {
		return Answer{}, errors.New("the answer is not HTTP/1.1") // the error may quote the answer, which can have secrets
	}
	defer response.Body.Close() //nolint:errcheck // it was read to its end
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return Answer{}, fmt.Errorf("read the body: %w", err)
	case len(body) > maxBody:
		return Answer{}, fmt.Errorf("the body is larger than %d MiB", maxBody>>20)
	}
	got.Status, got.Body = response.StatusCode, string(body)
	return got, nil
}

// Mismatches compares an answer with the response of a script, and returns a sentence for each
// difference.
func Mismatches(response string, got Answer) []string {
	var found []string
	head, body, hasBody := strings.Cut(response, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	if want := lines[0]; !pattern(want).MatchString(strconv.Itoa(got.Status)) {
		found = append(found, fmt.Sprintf("status is %d, want %s", got.Status, want))
	}
	for _, line := range lines[1:] {
		if absent, ok := strings.CutPrefix(line, "-"); ok {
			if value, present := got.Header(absent); present {
				found = append(found, fmt.Sprintf("header %s is %q, want none", absent, value))
			}
			continue
		}
		if !slices.ContainsFunc(got.Headers, pattern(line).MatchString) {
			found = append(found, fmt.Sprintf("no header %q in:\n%s", line, strings.Join(got.Headers, "\n")))
		}
	}
	if want := expectedBody(body); hasBody && !pattern(want).MatchString(got.Body) {
		found = append(found, fmt.Sprintf("body is\n%s\nwant\n%s", got.Body, want))
	}
	return found
}

// expectedBody returns the body of a response as the server has to send it. A script's file ends in a newline. If
// the body does not, the last line of the script is "<<>>".
func expectedBody(body string) string { return strings.ReplaceAll(body, "<<>>\n", "") }
