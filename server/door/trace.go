package door

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
)

// The two fields that carry a trace.
const (
	cloudTrace  = "X-Cloud-Trace-Context"
	traceparent = "Traceparent"
)

// trace is the trace of a request: the client's, or a new trace.
type trace struct {
	id      string // 32 hexadecimal digits
	sampled bool
}

// traceOf returns the trace of a request (https://www.w3.org/TR/trace-context/, and
// https://cloud.google.com/trace/docs/trace-context#legacy-http-header).
func traceOf(header http.Header) trace {
	if parts := strings.Split(header.Get(traceparent), "-"); len(parts) >= 4 && isTraceID(parts[1]) && len(parts[3]) == 2 {
		flags, err := strconv.ParseUint(parts[3], 16, 8)
		return trace{id: parts[1], sampled: err == nil && flags&1 == 1}
	}
	id, rest, _ := strings.Cut(header.Get(cloudTrace), "/")
	if id = strings.ToLower(id); isTraceID(id) {
		return trace{id: id, sampled: strings.Contains(rest, ";o=1")}
	}
	return trace{id: fmt.Sprintf("%016x%016x", rand.Uint64()|1, rand.Uint64())} //nolint:gosec // a name, and no secret
}

func isTraceID(text string) bool {
	const length = 32
	if len(text) != length || strings.Trim(text, "0") == "" {
		return false
	}
	return strings.Trim(text, "0123456789abcdef") == ""
}

// write puts the trace into both fields, with the same new span.
func (t trace) write(header http.Header) {
	span := rand.Uint64() | 1 //nolint:gosec // likewise
	cloud, flags := t.id+"/"+strconv.FormatUint(span, 10), "00"
	if t.sampled {
		cloud, flags = cloud+";o=1", "01"
	}
	header[cloudTrace] = []string{cloud}
	header[traceparent] = []string{fmt.Sprintf("00-%s-%016x-%s", t.id, span, flags)}
}
