package compare

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/script"
)

// Aspect is a part of an answer in which servers differ.
type Aspect string

// The aspects.
const (
	Silence      Aspect = "no answer"
	Status       Aspect = "status"
	MissingField Aspect = "missing header field"
	ExtraField   Aspect = "extra header field"
	FieldValue   Aspect = "value of a header field"
	FieldCase    Aspect = "spelling of a header field"
	FieldOrder   Aspect = "order of header fields"
	Body         Aspect = "body"
	Newline      Aspect = "newline at the end"
	LineOrder    Aspect = "order of lines"
	Unreadable   Aspect = "listed, but not readable"
	TokenForm    Aspect = "form of an access token"
	IdentityForm Aspect = "form of an ID token"
	Unplayable   Aspect = "entry that no fixture can have"
	Behaviour    Aspect = "behaviour" // of several requests: see the checks
)

// isOfHeader reports whether an aspect belongs to the header. Many answers share a header.
func (a Aspect) isOfHeader() bool {
	return slices.Contains([]Aspect{MissingField, ExtraField, FieldValue, FieldCase, FieldOrder}, a)
}

// judge compares the answers to a request.
func judge(theirs, ours script.Answer) []Difference {
	if theirs.Status != ours.Status {
		return []Difference{{Aspect: Status, Real: brief(theirs), Emulated: brief(ours)}}
	}
	found := judgeHeader(theirs, ours, form)
	switch {
	case isToken(theirs) || isToken(ours):
		return append(found, judgeFacts(TokenForm, tokenFacts(theirs.Body), tokenFacts(ours.Body))...)
	case isIdentity(theirs.Body) && isIdentity(ours.Body):
		return append(found, judgeFacts(IdentityForm, identityFacts(theirs.Body), identityFacts(ours.Body))...)
	default:
		return append(found, judgeBody(theirs.Body, ours.Body)...)
	}
}

// judgeHeader compares header fields: their presence, values, spelling and order. The function form removes
// the parts that differ from answer to answer.
func judgeHeader(theirs, ours script.Answer, form func(a script.Answer, name, value string) string) []Difference {
	theirs.Headers, ours.Headers = joined(theirs.Headers), joined(ours.Headers)
	var found []Difference
	var common, own []string
	for _, field := range theirs.Headers {
		name, value := split(field)
		at := slices.IndexFunc(ours.Headers, func(other string) bool { n, _ := split(other); return strings.EqualFold(n, name) })
		if at < 0 {
			found = append(found, Difference{Aspect: MissingField, Real: name + ": " + form(theirs, name, value), Emulated: "absent"})
			continue
		}
		ourName, ourValue := split(ours.Headers[at])
		common = append(common, strings.ToLower(name))
		if name != ourName {
			found = append(found, Difference{Aspect: FieldCase, Real: name, Emulated: ourName})
		}
		isOfBody := strings.EqualFold(name, "Content-Length") && (theirs.Body != ours.Body || isHiddenToken(theirs)) // whose difference is told
		if a, b := form(theirs, name, value), form(ours, name, ourValue); a != b && !isOfBody {
			found = append(found, Difference{Aspect: FieldValue, Real: name + ": " + a, Emulated: name + ": " + b})
		}
	}
	for _, field := range ours.Headers {
		name, value := split(field)
		if _, has := theirs.Header(name); !has {
			found = append(found, Difference{Aspect: ExtraField, Real: "absent", Emulated: name + ": " + form(ours, name, value)})
			continue
		}
		own = append(own, strings.ToLower(name))
	}
	if len(common) == len(own) && !slices.Equal(common, own) {
		found = append(found, Difference{Aspect: FieldOrder, Real: strings.Join(common, ", "), Emulated: strings.Join(own, ", ")})
	}
	return found
}

// isHiddenToken reports whether an answer to HEAD has the length of an access token, which differs from
// token to token.
func isHiddenToken(a script.Answer) bool {
	kind, _ := a.Header("Content-Type")
	return a.Body == "" && kind == "application/json"
}

// joined returns header fields, and joins the values of fields with the same name.
func joined(fields []string) []string {
	var all []string
	for _, field := range fields {
		name, value := split(field)
		at := slices.IndexFunc(all, func(other string) bool { n, _ := split(other); return strings.EqualFold(n, name) })
		if at < 0 {
			all = append(all, field)
			continue
		}
		all[at] += " + " + value
	}
	return all
}

// split returns the name and the value of a header field.
func split(field string) (name, value string) {
	name, value, _ = strings.Cut(field, ":")
	return name, strings.TrimSpace(value)
}

// form returns the value of a header field without the parts that differ from answer to answer.
func form(_ script.Answer, name, value string) string {
	switch {
	case strings.EqualFold(name, "Date"):
		if _, err := http.ParseTime(value); err == nil {
			return "a time"
		}
	case strings.EqualFold(name, "ETag"):
		if regexp.MustCompile(`\A[0-9a-f]{1,16}\z`).MatchString(value) {
			return "up to 16 hexadecimal digits"
		}
		return regexp.MustCompile(`[0-9A-Za-z]{4,}`).ReplaceAllString(value, "letters and digits")
	}
	return value
}

// judgeBody compares bodies byte for byte, and names the difference as exactly as possible.
func judgeBody(theirs, ours string) []Difference {
	aspect := Body
	switch {
	case theirs == ours:
		return nil
	case strings.TrimSuffix(theirs, "\n") == strings.TrimSuffix(ours, "\n"):
		aspect = Newline
	case slices.Equal(sortedLines(theirs), sortedLines(ours)):
		aspect = LineOrder
	}
	at := firstDifference(theirs, ours)
	return []Difference{{Aspect: aspect, Real: excerpt(theirs, at), Emulated: excerpt(ours, at), theirs: theirs, ours: ours}}
}

// firstDifference returns the number of the first bytes that two texts have in common.
func firstDifference(theirs, ours string) int {
	at := 0
	for at < min(len(theirs), len(ours)) && theirs[at] == ours[at] {
		at++
	}
	return at
}

func sortedLines(text string) []string {
	return slices.Sorted(slices.Values(strings.Split(text, "\n")))
}

// excerpt returns a part of a text around the offset of a difference.
func excerpt(text string, at int) string {
	const before, after = 40, 80
	from, to := max(0, at-before), min(len(text), at+after)
	cut := strings.ToValidUTF8(text[from:to], "�")
	if from > 0 {
		cut = "…" + cut
	}
	if to < len(text) {
		cut += "…"
	}
	return cmp.Or(cut, "nothing")
}

// brief describes an answer.
func brief(a script.Answer) string {
	if location, ok := a.Header("Location"); ok {
		return fmt.Sprintf("%d, to %s", a.Status, location)
	}
	return strconv.Itoa(a.Status)
}

func hasAspect(differences []Difference, aspect Aspect) bool {
	return slices.ContainsFunc(differences, func(d Difference) bool { return d.Aspect == aspect })
}
