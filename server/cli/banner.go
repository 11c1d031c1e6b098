package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
)

// announce logs the address of the emulator.
func (e *emulator) announce(ctx context.Context) {
	e.logger.InfoContext(ctx, "serving", "url", e.url.String(), "page", e.page(), "project", e.world.Project.ID,
		"instance", e.world.DefaultInstance().Name)
}

// page returns the URL of the web page, or an empty text if browsers cannot reach it.
func (e *emulator) page() string {
	at := cmp.Or(e.control, e.url)
	if at.Scheme != "http" {
		return ""
	}
	return at.String() + controlPath
}

// hasBanner reports whether people read the log. Programs that read it as JSON must find nothing else.
func (f runFlags) hasBanner(ctx context.Context, logger *slog.Logger) bool {
	return f.LogFormat == "text" && logger.Enabled(ctx, slog.LevelInfo)
}

// printBanner prints the address of the emulator, and how to use it.
func (e *emulator) printBanner(w io.Writer) {
	control := ""
	if e.control != nil {
		control = e.control.String()
	}
	_, _ = fmt.Fprintf(w, `%s %s emulates Google Cloud's metadata server, tokens and IAM for project %q
  where:  %s
  use:    %s
  page:   %s
  For tests only: anyone who reaches it gets tokens.
`, program, version(), e.world.Project.ID, e.url, howToUse(e.url.String(), control), cmp.Or(e.page(), "none, because browsers cannot reach a socket"))
}

// howToUse returns a command that uses an emulator.
func howToUse(at, control string) string {
	if path, isSocket := socketPath(at); isSocket {
		return fmt.Sprintf("curl --unix-socket %q http://localhost/", path)
	}
	return fmt.Sprintf(`eval "$(%s env%s)"`, program, urlFlags(at, control))
}
