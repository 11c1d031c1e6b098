package door

import (
	"cmp"
	"io"
	"net/http"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/wire"
)

// ReasonHeader is the header of the reason; see Config.Explain.
const ReasonHeader = "X-Emulator-Reason"

// refuse answers with a refusal.
func (d *Doors) refuse(w http.ResponseWriter, r *http.Request, p *passage, refusal *ingress.Refusal) {
	reason := refusal.Reason
	p.Verdict.Refusal, p.Status = refusal, refusal.Status
	body, contentType := refusal.Body, cmp.Or(refusal.ContentType, ingress.ContentType)
	if body == "" {
		page := errorpage.Page(r, refusal.Status, "")
		body, contentType = page.Body, page.ContentType
	}
	p.Bytes = int64(len(body))
	d.Explain(w.Header(), reason.Sentence, reason.Hint)
	d.observe(r, p)
	for _, field := range refusal.Header {
		w.Header()[field.Name] = []string{field.Value}
	}
	write(w, p.Status, contentType, body)
}

// Explain puts a reason into the header of an answer, if Config.Explain says so.
func (d *Doors) Explain(header http.Header, sentence, hint string) {
	if !d.config.Explain {
		return
	}
	text := sentence
	if hint != "" {
		text += "; hint: " + hint
	}
	header[ReasonHeader] = []string{strings.Map(printable, journal.Redacted(text))}
}

func printable(character rune) rune {
	if character < ' ' || character == 0x7f {
		return ' '
	}
	return character
}

func write(w http.ResponseWriter, status int, contentType, body string) {
	w.Header()["Content-Type"] = []string{contentType}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // net/http drops it for HEAD; a client that has gone needs no answer
}

// Dialect returns the dialect in which doors write the statuses of faults.
func Dialect() wire.Dialect {
	return wire.Dialect{
		Header: []wire.Field{{Name: "Server", Value: frontEnd}, {Name: "Alt-Svc", Value: altSvc}},
		Error:  answerTo,
	}
}

// The fields that the front end puts on every answer.
const (
	frontEnd = "Google Frontend"
	altSvc   = `h3=":443"; ma=2592000`
)

const plainText = "text/plain; charset=utf-8"

// failures returns the body that the front end sends with a status in place of the upstream.
func failures(status int) (body string, known bool) {
	switch status {
	case http.StatusServiceUnavailable:
		return "Service Unavailable", true
	case http.StatusGatewayTimeout:
		return "upstream request timeout", true
	case http.StatusTooManyRequests:
		return "Rate exceeded.", true
	default:
		return "", false
	}
}

// answerTo returns the answer of the front end to an error.
func answerTo(r *http.Request, err error) wire.Response {
	status := errorpage.StatusOf(err)
	if body, known := failures(status); known {
		return wire.Response{Status: status, ContentType: plainText, Body: body}
	}
	refusal := ingress.Page(status, pathOf(r))
	if refusal == nil {
		return errorpage.Page(r, status, "")
	}
	response := wire.Response{Status: status, ContentType: ingress.ContentType, Body: refusal.Body}
	for _, field := range refusal.Header {
		response.Header = append(response.Header, wire.Field(field))
	}
	return response
}

// receive completes the header of an upstream's answer before it is sent.
func (d *Doors) receive(answer *http.Response) error {
	p := passageOf(answer.Request)
	if !p.service.HTTP2 && answer.ContentLength > maxBytes {
		return errAnswerTooLarge
	}
	answer.Header["Server"], answer.Header["Alt-Svc"] = []string{frontEnd}, []string{altSvc}
	if !d.config.Clock.FollowsMachine() {
		delete(answer.Header, "Date") // the door has given it one
	}
	if p.trace.sampled {
		answer.Header[cloudTrace] = []string{p.trace.id + ";o=1"}
	}
	p.Status, p.Bytes = answer.StatusCode, answer.ContentLength
	d.observe(answer.Request, p)
	return nil
}

// fail answers a request after the upstream has failed.
func (d *Doors) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := passageOf(r)
	status, why := outcome(r, p.service, err)
	p.Status, p.Failure = status, why
	if status == 0 {
		p.Bytes = 0
		d.observe(r, p)
		return
	}
	d.config.Logger.DebugContext(r.Context(), "upstream failed", "service", p.Service, "error", err) // the observer logs the rest
	body, contentType := errorpage.Page(r, status, "").Body, errorpage.ContentType
	if text, known := failures(status); known {
		body, contentType = text, plainText
	}
	p.Bytes = int64(len(body))
	d.Explain(w.Header(), why, "")
	w.Header()["Server"], w.Header()["Alt-Svc"] = []string{frontEnd}, []string{altSvc}
	if status == http.StatusGatewayTimeout && r.ProtoMajor == 1 && r.Body != http.NoBody { // net/http would wait for the rest of it
		w.Header()["Connection"] = []string{"close"}
	}
	d.observe(r, p)
	write(w, status, contentType, body)
}

// watched notes the status with which a handler in this process answers.
type watched struct {
	http.ResponseWriter

	doors   *Doors
	passage *passage
	request *http.Request
	noted   bool
}

// Unwrap gives http.ResponseController access to the wrapped writer.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	w.note(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watched) Write(data []byte) (int, error) {
	w.note(http.StatusOK)
	return w.ResponseWriter.Write(data)
}

func (w *watched) note(status int) {
	const lowestFinal = 200
	if w.noted || status < lowestFinal && status != http.StatusSwitchingProtocols {
		return
	}
	w.noted = true
	header := w.Header()
	header["Server"], header["Alt-Svc"] = []string{frontEnd}, []string{altSvc}
	w.passage.Status = status
	w.doors.observe(w.request, w.passage)
}
