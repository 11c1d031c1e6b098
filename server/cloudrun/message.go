package cloudrun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// read reads the body of a request as a message.
func read(r *http.Request, into proto.Message) error {
	body, err := wire.ReadBody(r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := (protojson.UnmarshalOptions{AllowPartial: true}).Unmarshal(body, into); err != nil {
		return googleapi.InvalidArgument("Invalid JSON payload received. " + complaint(err))
	}
	return nil
}

// complaint returns the text of a protojson error, which has spaces of several kinds.
func complaint(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
}

// reply answers with a message.
func reply(r *http.Request, m proto.Message) (wire.Response, error) {
	text, err := protojson.MarshalOptions{UseEnumNumbers: wantsNumbers(r)}.Marshal(m)
	if err != nil {
		return wire.Response{}, fmt.Errorf("encode a %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return googleapi.Reply(r, json.RawMessage(text)), nil
}

// wantsNumbers reports whether a client wants enum values as numbers, as Google's own libraries do.
func wantsNumbers(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, "enum-encoding") }

// encode returns a message as a JSON document.
func encode(m proto.Message) (map[string]any, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode a %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	document := map[string]any{}
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("decode a %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return document, nil
}

// decode reads a JSON document as a message, and ignores fields that the message does not have.
func decode(document map[string]any, into proto.Message) error {
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encode a document: %w", err)
	}
	return protojson.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true}.Unmarshal(text, into)
}

// take copies the fields at some paths from one message to another of the same type. A path has
// names in snake case or in camel case, with dots between them.
func take(to, from proto.Message, paths []string) error {
	for _, path := range paths {
		if !takeField(to.ProtoReflect(), from.ProtoReflect(), strings.Split(strings.TrimSpace(path), ".")) {
			return googleapi.InvalidArgument(fmt.Sprintf("Invalid field path in update_mask: %q.", path))
		}
	}
	return nil
}

// takeField reports whether the message has the field at a path.
func takeField(to, from protoreflect.Message, path []string) bool {
	fields := to.Descriptor().Fields()
	field := fields.ByJSONName(path[0])
	if field == nil {
		field = fields.ByTextName(path[0])
	}
	switch {
	case field == nil:
		return false
	case len(path) > 1:
		isMessage := field.Message() != nil && !field.IsList() && !field.IsMap()
		return isMessage && takeField(to.Mutable(field).Message(), from.Get(field).Message(), path[1:])
	case from.Has(field):
		to.Set(field, from.Get(field))
	default:
		to.Clear(field)
	}
	return true
}
