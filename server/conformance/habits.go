package conformance

import (
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/explain"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

// habits returns functions. Each finds one notable habit of a program under a behaviour, and describes it in
// a sentence, or returns "".
func habits() []func(Behaviour, Observation) string {
	return []func(Behaviour, Observation) string{prints, writes, misspeaks, polls, insists, hurries}
}

// prints finds that the program printed a token.
func prints(_ Behaviour, seen Observation) string {
	if token := tokens().FindString(seen.Output); token != "" {
		return fmt.Sprintf("it printed a token (%s), which logs would keep", shortened(token))
	}
	return ""
}

// writes finds that the program wrote a token to a file.
func writes(_ Behaviour, seen Observation) string {
	if len(seen.Files) > 0 {
		return fmt.Sprintf("it wrote a token to %q, which others may read", seen.Files[0])
	}
	return ""
}

// misspeaks finds requests that a metadata server refuses for any path.
func misspeaks(_ Behaviour, seen Observation) string {
	return said("refused", seen.Requests, func(e journal.Exchange) bool {
		return e.Code == reason.FlavorMissing || e.Code == reason.Forwarded
	})
}

// polls finds that the program does not keep tokens for later use.
func polls(_ Behaviour, seen Observation) string {
	return said("token-polling", seen.Requests, func(e journal.Exchange) bool { return e.Fault == "" })
}

// insists finds that the program repeats requests although no retry helps.
func insists(b Behaviour, seen Observation) string {
	if !b.Final {
		return ""
	}
	return said("repeated", seen.Requests, func(e journal.Exchange) bool { return e.Fault != "" })
}

// hurries finds that the program repeats a request sooner than the answer asked for.
func hurries(b Behaviour, seen Observation) string {
	for i, e := range seen.Requests {
		if e.Fault == "" || b.Pause == 0 {
			continue
		}
		later := seen.Requests[i+1:]
		next := slices.IndexFunc(later, func(other journal.Exchange) bool { return other.Route == e.Route })
		if next < 0 {
			continue
		}
		if waited := later[next].Time.Sub(e.Time); waited < b.Pause {
			return fmt.Sprintf("it asked again after %s, although the answer asked for %s", waited.Round(time.Millisecond), b.Pause)
		}
	}
	return ""
}

// said returns the first sentence of a rule of package explain about some of the requests, or "".
func said(rule string, requests []journal.Exchange, about func(journal.Exchange) bool) string {
	var window explain.Window
	for _, e := range requests {
		if about(e) {
			window.Exchanges = append(window.Exchanges, e)
		}
	}
	for _, finding := range explain.Explain(window) {
		if finding.Rule == rule {
			return finding.Sentence
		}
	}
	return ""
}

// tokens matches access tokens and JWTs.
func tokens() *regexp.Regexp {
	return regexp.MustCompile(`\bya29\.[A-Za-z0-9_.-]{8,}|\beyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}`)
}

// shortened returns the beginning of a token.
func shortened(token string) string {
	const shown = 12
	return token[:shown] + "…"
}

// WithTokens returns the names of the files that have changed since a time and contain tokens. It looks at the
// beginning of each file, and gives up in a tree with very many files.
func WithTokens(tree fs.FS, since time.Time) []string {
	const most, beginning = 20_000, 1 << 20
	var found []string
	left := most
	_ = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		left--
		switch {
		case left < 0:
			return fs.SkipAll
		case err != nil:
			return nil //nolint:nilerr // nobody can read it, or it has gone
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".git"):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		if info, err := entry.Info(); err != nil || info.ModTime().Before(since) {
			return nil //nolint:nilerr // it has gone
		}
		if file, err := tree.Open(name); err == nil {
			text, _ := io.ReadAll(io.LimitReader(file, beginning)) // a part of it is better than nothing
			_ = file.Close()                                       // it was only read
			if tokens().Match(text) {
				found = append(found, name)
			}
		}
		return nil
	})
	return found
}
