package googleapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures/spelling"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// Message is a request message in the JSON mapping of protocol buffers
// (https://protobuf.dev/programming-guides/json): fields by their camel-case or their
// original name, null for an absent field, and strings for numbers and booleans. It is as lenient
// as Google's servers are.
type Message struct {
	path   string                     // of a message in another message
	fields map[string]json.RawMessage // by original name
}

// ReadMessage reads the body of a request as a message with the given fields, which have their
// names in snake case. A body of form data sets fields as a query does; an empty body is an empty
// message.
func ReadMessage(r *http.Request, fields ...string) (Message, error) {
	body, err := wire.ReadBody(r)
	if err != nil {
		return Message{}, err
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType == "application/x-www-form-urlencoded" {
		return readForm(body, fields)
	}
	return readJSON(body, fields)
}

func readJSON(body []byte, fields []string) (Message, error) {
	message := Message{fields: map[string]json.RawMessage{}}
	if len(bytes.TrimSpace(body)) == 0 {
		return message, nil
	}
	var object map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&object); err != nil || object == nil {
		return Message{}, unexpectedToken(body, decoder.InputOffset())
	}
	if rest := bytes.TrimSpace(body[decoder.InputOffset():]); len(rest) > 0 {
		return Message{}, unexpectedToken(body, int64(len(body)-len(rest)))
	}
	return message, message.set(object, fields)
}

// set takes the fields of a JSON object.
func (m Message) set(object map[string]json.RawMessage, fields []string) error {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		field, ok := find(fields, name)
		if !ok {
			at := ""
			if m.path != "" {
				at = " at '" + m.path + "'"
			}
			return invalidField(m.path, fmt.Sprintf(`Invalid JSON payload received. Unknown name "%s"%s: Cannot find field.`, shortened(name), at))
		}
		m.fields[field] = object[name]
	}
	return nil
}

// at returns the name of a field in errors.
func (m Message) at(field string) string {
	if m.path == "" {
		return field
	}
	return m.path + "." + field
}

// Message returns the message in a field, which has the given fields. It returns an empty message if
// the field is absent.
func (m Message) Message(field string, fields ...string) (Message, error) {
	value, ok := m.value(field)
	if !ok {
		return Message{}, nil
	}
	return submessage(value, m.at(field), fields)
}

// Messages returns the messages in a repeated field.
func (m Message) Messages(field string, fields ...string) ([]Message, error) {
	value, ok := m.value(field)
	if !ok {
		return nil, nil
	}
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return nil, invalidValue(m.at(field), "MESSAGE", value)
	}
	messages := make([]Message, len(items))
	for i, item := range items {
		var err error
		if messages[i], err = submessage(item, fmt.Sprintf("%s[%d]", m.at(field), i), fields); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func submessage(value json.RawMessage, path string, fields []string) (Message, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) != nil || object == nil {
		return Message{}, invalidValue(path, "MESSAGE", value)
	}
	message := Message{path: path, fields: map[string]json.RawMessage{}}
	return message, message.set(object, fields)
}

func readForm(body []byte, fields []string) (Message, error) {
	message := Message{fields: map[string]json.RawMessage{}}
	form := url.Values{}
	for pair := range strings.SplitSeq(string(body), "&") {
		name, value, _ := strings.Cut(pair, "=")
		if pair != "" {
			form.Add(unescaped(name), unescaped(value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		field, ok := find(fields, name)
		if !ok {
			return Message{}, invalidField("", fmt.Sprintf(
				`Invalid JSON payload received. Unknown name "%[1]s": Cannot bind query parameter. Field '%[1]s' could not be found in request message.`, shortened(name)))
		}
		var value any = form[name]
		if len(form[name]) == 1 {
			value = form[name][0]
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return Message{}, fmt.Errorf("encode a form value: %w", err)
		}
		message.fields[field] = encoded
	}
	return message, nil
}

// unescaped unescapes text. It returns the text unchanged if an escape is broken.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// find matches a field's snake-case name or its camel-case form.
func find(fields []string, name string) (string, bool) {
	i := slices.IndexFunc(fields, func(field string) bool { return name == field || name == JSONName(field) })
	if i < 0 {
		return "", false
	}
	return fields[i], true
}

// JSONName returns the name of a field in JSON, given its name in snake case
// (https://protobuf.dev/programming-guides/json).
func JSONName(field string) string { return spelling.Camel(field, "_") }

// unexpectedToken returns an error with the line in which a body stops being a JSON object, and a
// mark below the line.
func unexpectedToken(body []byte, offset int64) *Error {
	const shown = 60
	start := max(0, min(int(offset), len(body))-shown/2)
	excerpt := body[start:min(len(body), start+shown)]
	if i := bytes.IndexByte(excerpt, '\n'); i >= 0 {
		excerpt = excerpt[:i]
	}
	mark := strings.Repeat(" ", max(0, min(int(offset)-start, len(excerpt)))) + "^"
	return InvalidArgument("Invalid JSON payload received. Unexpected token.\n" +
		strings.ToValidUTF8(string(excerpt), "\uFFFD") + "\n" + mark).Because(journal.Refusal{
		// The excerpt can have a part of a secret, which nobody recognises in a log.
		Code: reason.InvalidArgument, Reason: fmt.Sprintf("The body is not a JSON object: byte %d is unexpected.", offset),
	})
}

func invalidValue(field, kind string, value json.RawMessage) *Error {
	return invalidField(field, fmt.Sprintf("Invalid value at '%s' (%s), %s", field, kind, shortened(string(value))))
}

// shortened shortens text, so that an answer does not repeat a large request.
func shortened(text string) string {
	const longest = 1000
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// value returns a field's JSON, or false if the field is absent or null.
func (m Message) value(field string) (json.RawMessage, bool) {
	value, ok := m.fields[field]
	return value, ok && string(value) != "null"
}

// Has reports whether a field is present.
func (m Message) Has(field string) bool {
	_, ok := m.value(field)
	return ok
}

// Text returns the value of a string field. It is empty if the field is absent.
func (m Message) Text(field string) (string, error) {
	value, ok := m.value(field)
	if !ok {
		return "", nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return "", invalidValue(m.at(field), "TYPE_STRING", value)
	}
	return text, nil
}

// Texts returns the value of a repeated string field. A string stands for a list with one element.
func (m Message) Texts(field string) ([]string, error) {
	value, ok := m.value(field)
	if !ok {
		return nil, nil
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return []string{text}, nil
	}
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return nil, invalidValue(m.at(field), "TYPE_STRING", value)
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if string(item) == "null" || json.Unmarshal(item, &texts[i]) != nil {
			return nil, invalidValue(fmt.Sprintf("%s[%d]", m.at(field), i), "TYPE_STRING", item)
		}
	}
	return texts, nil
}

// TextMap returns the value of a field that maps strings to strings.
func (m Message) TextMap(field string) (map[string]string, error) {
	value, ok := m.value(field)
	if !ok {
		return nil, nil
	}
	var texts map[string]string
	if json.Unmarshal(value, &texts) != nil {
		return nil, invalidValue(m.at(field), "Map", value)
	}
	return texts, nil
}

// Bool returns the value of a boolean field. It is false if the field is absent.
func (m Message) Bool(field string) (bool, error) {
	value, ok := m.value(field)
	if !ok {
		return false, nil
	}
	switch string(value) {
	case "true", `"true"`:
		return true, nil
	case "false", `"false"`:
		return false, nil
	default:
		return false, invalidValue(m.at(field), "TYPE_BOOL", value)
	}
}

// Int32 returns the value of an integer field. It is 0 if the field is absent.
func (m Message) Int32(field string) (int32, error) {
	value, ok := m.value(field)
	if !ok {
		return 0, nil
	}
	text := string(value)
	if quoted := ""; json.Unmarshal(value, &quoted) == nil {
		text = quoted
	}
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, invalidValue(m.at(field), "TYPE_INT32", value)
	}
	return int32(number), nil
}

// Mask returns the value of a google.protobuf.FieldMask, comma-separated paths, in snake case.
func (m Message) Mask(field string) ([]string, error) {
	text, err := m.Text(field)
	return MaskPaths(text), err
}

// MaskPaths returns the paths of a google.protobuf.FieldMask in snake case, or nothing if it is empty. It
// does not change a path that may be a secret, so that messages recognise and redact it.
func MaskPaths(text string) []string {
	if text == "" {
		return nil
	}
	paths := strings.Split(text, ",")
	for i, path := range paths {
		paths[i] = strings.TrimSpace(path)
		if journal.Redacted(paths[i]) == paths[i] {
			paths[i] = spelling.Separated(paths[i], "_")
		}
	}
	return paths
}

// Bytes returns the value of a bytes field: base64 of either alphabet, with or without padding.
func (m Message) Bytes(field string) ([]byte, error) {
	text, err := m.Text(field)
	if err != nil {
		return nil, err
	}
	return DecodeBytes(m.at(field), text)
}

// DecodeBytes is Bytes for the text of a field with a name.
func DecodeBytes(field, text string) ([]byte, error) {
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	data, err := base64.RawStdEncoding.DecodeString(standard)
	if err != nil {
		return nil, invalidField(field, fmt.Sprintf(`Invalid value at '%s' (TYPE_BYTES), Base64 decoding failed for "%s"`, field, shortened(text)))
	}
	return data, nil
}

// Duration returns the value of a google.protobuf.Duration: seconds, with up to nine fractional
// digits, and "s".
func (m Message) Duration(field string) (time.Duration, error) {
	value, ok := m.value(field)
	if !ok {
		return 0, nil
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		seconds, isSeconds := strings.CutSuffix(text, "s")
		isSeconds = isSeconds && strings.Trim(seconds, "-.0123456789") == "" // no other unit before it
		if duration, err := time.ParseDuration(text); err == nil && isSeconds {
			return duration, nil
		}
	}
	return 0, invalidValue(m.at(field), "type.googleapis.com/google.protobuf.Duration", value)
}
