package journal

import "log/slog"

// RedactAttribute replaces an attribute of a log by one without possible secrets. It is for
// slog.HandlerOptions.ReplaceAttr, so that no line of a log has to think of secrets.
func RedactAttribute(_ []string, attribute slog.Attr) slog.Attr {
	switch value := attribute.Value.Any().(type) {
	case string:
		attribute.Value = slog.StringValue(Redacted(value))
	case error:
		attribute.Value = slog.StringValue(Redacted(value.Error()))
	}
	return attribute
}
