package journal

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// RedactAttribute replaces an attribute of a log by one without possible secrets. It is for
// slog.HandlerOptions.ReplaceAttr, so that no line of a log has to think of secrets. A value of any type is
// replaced by a text if what a handler writes of it has a secret.
func RedactAttribute(_ []string, attribute slog.Attr) slog.Attr {
	switch kind := attribute.Value.Kind(); kind { //nolint:exhaustive // numbers and times have no secrets
	case slog.KindString:
		attribute.Value = slog.StringValue(Redacted(attribute.Value.String()))
	case slog.KindAny:
		for _, text := range written(attribute.Value.Any()) {
			if shown := Redacted(text); shown != text {
				attribute.Value = slog.StringValue(shown)
				break
			}
		}
	}
	return attribute
}

// written returns what handlers for texts and for JSON write of a value.
func written(value any) []string {
	switch value := value.(type) {
	case error:
		return []string{value.Error()}
	case []byte:
		return []string{string(value)}
	case slog.Level:
		return nil
	}
	inJSON, _ := json.Marshal(value) //nolint:errchkjson // a handler writes an error in place of the value
	return []string{fmt.Sprintf("%+v", value), string(inJSON)}
}
