package journal

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// RedactAttribute removes possible secrets from an attribute of a log. It is for
// slog.HandlerOptions.ReplaceAttr, so that callers of the log need not care about secrets. If the text of a
// value of any type has a secret, the redacted text replaces the value.
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

// written returns the texts of a value in the output of handlers for text and for JSON.
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
