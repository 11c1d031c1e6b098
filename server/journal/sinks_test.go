package journal_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/journal"
)

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
