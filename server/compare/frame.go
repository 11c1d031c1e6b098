package compare

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/script"
)

// judgePublic compares the answers of public hosts to a request: header fields, bodies, and the members of
// JSON Web Tokens. Values in a body do not count if they differ from answer to answer.
func judgePublic(theirs, ours script.Answer, names *pseudonym.Names) []Difference {
	if theirs.Status != ours.Status {
		return []Difference{{Aspect: Status, Real: brief(theirs), Emulated: brief(ours)}}
	}
	found := append(judgeHeader(theirs, ours, publicForm), judgeBody(frame(theirs, names), frame(ours, names))...)
	their, own := expressions().jwt.FindAllString(theirs.Body, -1), expressions().jwt.FindAllString(ours.Body, -1)
	for i := range min(len(their), len(own)) {
		found = append(found, judgeFacts(IdentityForm, identityFacts(their[i]), identityFacts(own[i]))...)
	}
	return found
}

// publicForm returns the value of a header field of a public host without the parts that differ from answer to
// answer.
func publicForm(a script.Answer, name, value string) string {
	switch {
	case strings.EqualFold(name, "Content-Length"), strings.EqualFold(name, "Age"):
		if _, err := strconv.Atoi(value); err == nil {
			return "a number"
		}
	case strings.EqualFold(name, "Cache-Control"):
		return expressions().age.ReplaceAllStringFunc(value, func(age string) string {
			seconds, _ := strconv.Atoi(strings.TrimPrefix(age, "max-age="))
			return "max-age=" + cmp.Or(map[bool]string{true: "hours"}[seconds >= secondsPerHour], map[bool]string{true: "minutes"}[seconds > 0], "0")
		})
	case strings.EqualFold(name, "Expires"):
		if at, err := http.ParseTime(value); err == nil {
			return from(a, at)
		}
	}
	return form(a, name, value)
}

const secondsPerHour = 3600

// from returns a time as the span from the time of an answer.
func from(a script.Answer, at time.Time) string {
	date, _ := a.Header("Date")
	sent, err := http.ParseTime(date)
	if err != nil {
		return "A TIME"
	}
	return span(at.Sub(sent))
}

// span rounds a time, because tokens that were issued at the start of a comparison grow older during it.
func span(while time.Duration) string {
	const short, coarse, old = 30 * time.Minute, 10 * time.Minute, -10 * time.Minute
	switch round := while.Round(time.Minute); {
	case while < old:
		return "THE PAST"
	case round <= 0:
		return "NOW"
	case round < short:
		return fmt.Sprintf("%.0f MINUTES", round.Minutes())
	default:
		return fmt.Sprintf("%.0f MINUTES", while.Round(coarse).Minutes())
	}
}

// patterns are regular expressions for values that differ from answer to answer.
type patterns struct {
	jwt, access, pem, long, id, moment, unix, left, age, pair, object *regexp.Regexp
}

var expressions = sync.OnceValue(func() patterns { //nolint:gochecknoglobals // expressions are compiled once, when they are first needed
	return patterns{
		jwt:    regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`),
		access: regexp.MustCompile(`\bya29\.([a-z]\.)?[A-Za-z0-9._-]+`),
		pem:    regexp.MustCompile(`-----BEGIN ([A-Z ]+)-----[^-]+-----END [A-Z ]+-----`),
		long:   regexp.MustCompile(`[A-Za-z0-9+/_-]{200,}={0,2}`),
		id:     regexp.MustCompile(`\b[0-9a-f]{40}\b`),
		moment: regexp.MustCompile(`\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?Z`),
		unix:   regexp.MustCompile(`\b1[0-9]{9}\b`),
		left:   regexp.MustCompile(`("expires_in": ?"?)([0-9]+)`),
		age:    regexp.MustCompile(`max-age=[0-9]+`),
		pair:   regexp.MustCompile(`"AN ID": ?"[^"]*"`),
		object: regexp.MustCompile(`\{[^{}]*"AN ID"[^{}]*\}`),
	}
})

// frame returns a body with forms instead of values, if the values differ from answer to answer. Keys are
// sets: equal forms count once, and members in any order.
func frame(a script.Answer, names *pseudonym.Names) string {
	e := expressions()
	body := e.jwt.ReplaceAllString(a.Body, "A JWT")
	body = e.access.ReplaceAllString(body, "ya29.${1}TOKEN")
	body = e.pem.ReplaceAllString(body, "A $1")
	body = e.long.ReplaceAllStringFunc(body, func(text string) string {
		return fmt.Sprintf("%d LETTERS%s", len(text), map[bool]string{true: " PADDED"}[strings.HasSuffix(text, "=")])
	})
	body = e.id.ReplaceAllString(body, "AN ID")
	body = e.moment.ReplaceAllStringFunc(body, func(text string) string {
		at, _ := time.Parse(time.RFC3339, text)
		return from(a, at) + map[bool]string{true: " WITH A FRACTION"}[strings.Contains(text, ".")]
	})
	body = e.unix.ReplaceAllStringFunc(body, func(text string) string {
		seconds, _ := strconv.ParseInt(text, 10, 64)
		return from(a, time.Unix(seconds, 0))
	})
	if !strings.Contains(body, "TOKEN") { // whose lifetime begins with the answer
		body = e.left.ReplaceAllStringFunc(body, spanLeft)
	}
	return names.Redact(once(once(body, e.pair), e.object))
}

// spanLeft replaces the seconds in "expires_in".
func spanLeft(member string) string {
	parts := expressions().left.FindStringSubmatch(member)
	seconds, _ := strconv.Atoi(parts[2])
	return parts[1] + span(time.Duration(seconds)*time.Second)
}

// once sorts the members of the objects that a pattern finds, and removes repetitions of the object before.
func once(body string, pattern *regexp.Regexp) string {
	var kept strings.Builder
	last, end := "", 0
	for _, at := range pattern.FindAllStringIndex(body, -1) {
		object := sortedMembers(body[at[0]:at[1]])
		if between := body[end:at[0]]; object != last || strings.TrimSpace(between) != "," {
			kept.WriteString(between + object)
		}
		last, end = object, at[1]
	}
	return kept.String() + body[end:]
}

// sortedMembers sorts the members of an object without objects in it, each of which has a line.
func sortedMembers(object string) string {
	lines := strings.Split(object, "\n")
	if len(lines) < 3 { //nolint:mnd // a line for each brace
		return object
	}
	members := lines[1 : len(lines)-1]
	for i, line := range members {
		members[i] = strings.TrimSuffix(line, ",")
	}
	slices.Sort(members)
	return strings.Join(lines, "\n")
}
