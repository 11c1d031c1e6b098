package journal_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/journal"
)

// named has a secret that its methods tell.
type named struct{ secret string }

func (n named) String() string { return "string of " + n.secret }

// marshalled tells its secret only in JSON.
type marshalled struct{ secret *string }

func (m marshalled) MarshalText() ([]byte, error) { return []byte("text of " + *m.secret), nil }

// resolved is a value that makes its content when it is logged.
type resolved struct{ secret string }

func (r resolved) LogValue() slog.Value {
	return slog.GroupValue(slog.String("text", r.secret), slog.Any("bytes", []byte(r.secret)), slog.Group("deeper", "named", named(r)))
}

// A value of any type in a line of the log is written without secrets, by each handler.
func TestNoValueHasSecrets(t *testing.T) {
	t.Parallel()
	const secret = "ya29.c.planted-secret"
	in := secret
	for name, value := range map[string]any{
		"a text": secret, "bytes": []byte(secret), "raw JSON": json.RawMessage(`{"a":"` + secret + `"}`), "an error": errors.New(secret),
		"a struct": struct{ Inner struct{ Text string } }{struct{ Text string }{secret}}, "a pointer": &struct{ Text *string }{&in},
		"a map": map[string][]string{"x": {secret}}, "a slice": []any{secret}, "a Stringer": named{secret}, "a pointer to a Stringer": &named{secret},
		"a TextMarshaler": marshalled{&in}, "a LogValuer": resolved{secret}, "a group": slog.GroupValue(slog.Any("deep", named{secret})), "a URL": &url.URL{Host: "x", Path: "/" + secret},
	} {
		for handler, newHandler := range map[string]func(io.Writer, *slog.HandlerOptions) slog.Handler{
			"text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
			"JSON": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
		} {
			var lines strings.Builder
			slog.New(newHandler(&lines, &slog.HandlerOptions{ReplaceAttr: journal.RedactAttribute})).Info("logged "+secret, "value", value)
			if shown := lines.String(); strings.Contains(shown, "planted-secret") || strings.Contains(shown, base64.StdEncoding.EncodeToString([]byte(secret))) {
				t.Errorf("%s in a line in %s: %s", name, handler, shown)
			}
		}
	}
	var lines strings.Builder
	slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{ReplaceAttr: journal.RedactAttribute})).Info("kept", "list", []int{1, 2}, "name", named{"x"})
	if !strings.Contains(lines.String(), `"list":[1,2]`) {
		t.Errorf("a value without secrets is changed: %s", lines.String())
	}
}

// A secret in any text of an exchange is hidden in the journal and in the copy for the log.
func TestNoTextHasSecrets(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{
		"API key":       "AIza" + strings.Repeat("S", 35),
		"access token":  "ya29.c." + strings.Repeat("a", 40),
		"refresh token": "1//0" + strings.Repeat("b", 40),
		"client secret": "GOCSPX-" + strings.Repeat("c", 20),
		"JWT":           "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0." + strings.Repeat("d", 30),
	} {
		text := "gl-go/1.26 key " + secret + " end"
		e := journal.Exchange{
			Method: text, Path: "/" + secret, Instance: text, Account: text, Audience: text, UserAgent: text, Host: text, Caller: text,
			Reason: fmt.Sprintf("%q lacks it", text), Hint: text, Missing: &journal.Missing{Permission: "p", Resource: "projects/" + secret},
		}
		recorded := journal.New()
		recorded.Append(e)
		kept := recorded.Since(0).Exchanges[0]
		for sink, seen := range map[string]*journal.Exchange{"journal": &kept, "log": e.Redacted()} {
			if shown := fmt.Sprintf("%+v %+v", *seen, *seen.Missing); strings.Contains(shown, secret) || strings.Count(shown, "REDACTED") != 11 {
				t.Errorf("%s in the %s: %s", name, sink, shown)
			}
		}
		var lines strings.Builder
		logger := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{ReplaceAttr: journal.RedactAttribute}))
		logger.With("with", text).WithGroup("group").Error("refused", "text", text, "error", fmt.Errorf("wrapped: %w", errors.New(text)), "number", 1)
		if shown := lines.String(); strings.Contains(shown, secret) || strings.Count(shown, "REDACTED") != 3 || !strings.Contains(shown, "number=1") {
			t.Errorf("%s in a line of the log: %s", name, shown)
		}
		if !strings.Contains(e.Missing.Resource, secret) {
			t.Error("the original is changed")
		}
	}
	for _, text := range []string{"Authorization: Bearer TOKEN; then", "AIzaShort", "/AIza"} {
		if got := journal.Redacted(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
