package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/journal"
)

// secretsOfRequests returns texts that no log, journal, page or reason may repeat.
func secretsOfRequests() []string {
	return []string{
		"ya29.c.planted-" + strings.Repeat("a", 40), "1//0planted-" + strings.Repeat("b", 40), "AIzaplanted-" + strings.Repeat("c", 31),
		"GOCSPX-planted-" + strings.Repeat("d", 20), "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.planted-" + strings.Repeat("e", 30),
	}
}

// spots puts a secret into a request, each in another place.
func spots() map[string]func(request, secret string) string {
	target := func(request string, change func(path, query string) string) string {
		line, rest, _ := strings.Cut(request, "\n")
		method, target, _ := strings.Cut(line, " ")
		path, query, _ := strings.Cut(target, "?")
		return method + " " + change(path, query) + "\n" + rest
	}
	field := func(name, before string) func(string, string) string {
		return func(request, secret string) string {
			request = regexp.MustCompile(`(?m)^`+name+`: .*\n`).ReplaceAllString(request, "")
			return strings.Replace(request, "\n", "\n"+name+": "+before+secret+"\n", 1)
		}
	}
	return map[string]func(request, secret string) string{
		"query": func(request, secret string) string {
			return target(request, func(path, query string) string { return path + "?" + query + "&novelty=" + url.QueryEscape(secret) })
		},
		"password": func(request, _ string) string {
			return target(request, func(path, query string) string { return path + "?password=planted-password&" + query })
		},
		"last name": func(request, secret string) string {
			return target(request, func(path, query string) string {
				return path[:strings.LastIndexByte(path, '/')+1] + url.PathEscape(secret) + "?" + query
			})
		},
		"bearer":    field("Authorization", "Bearer "),
		"scheme":    field("Authorization", ""),
		"agent":     field("User-Agent", ""),
		"forwarded": field("X-Forwarded-For", ""),
		"flavor":    field("Metadata-Flavor", ""),
		"type":      field("Content-Type", "application/"),
		"body": func(request, secret string) string {
			head, body, _ := strings.Cut(request, "\n\n")
			body = regexp.MustCompile(`: ?"[^"]*"`).ReplaceAllString(body, `:"`+secret+`"`)
			return head + "\n\n" + regexp.MustCompile(`=[^&\n]*`).ReplaceAllString(body, "="+url.QueryEscape(secret))
		},
	}
}

// TestSecretsOfRequestsAreNotRepeated puts secrets into the requests of all scripts, and looks for them in reasons, the
// log, the journal and the page.
func TestSecretsOfRequestsAreNotRepeated(t *testing.T) {
	t.Parallel()
	for scripts, start := range map[string]func(t *testing.T, logged func(*server.Config)) (*emulatortest.Emulator, *strings.Replacer){
		"wire": func(t *testing.T, logged func(*server.Config)) (*emulatortest.Emulator, *strings.Replacer) {
			t.Helper()
			e := emulatortest.NewOf(t, emulatortest.Fixture(t), logged)
			return e, wireValues(t, e)
		},
		"doors": func(t *testing.T, logged func(*server.Config)) (*emulatortest.Emulator, *strings.Replacer) {
			t.Helper()
			e := newDoors(t, logged)
			return e, doorTokens(t, e)
		},
	} {
		t.Run(scripts, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			e, values := start(t, func(config *server.Config) {
				config.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: journal.RedactAttribute}))
			})
			for i, request := range requestsIn(t, scripts) {
				for spot, put := range spots() {
					secrets := secretsOfRequests()
					asked := put(values.Replace(request), secrets[i%len(secrets)])
					answer := e.Exchange(t, asked)
					for _, field := range answer.Headers {
						if isOurs := strings.HasPrefix(field, "X-Emulator-") || strings.HasPrefix(field, "Www-Authenticate"); isOurs && strings.Contains(field, "planted") {
							t.Errorf("%s of %q: %s", spot, asked, field)
						}
					}
				}
				checkUnrepeated(t, e, i, &logs)
			}
		})
	}
}

// checkUnrepeated looks for secrets in the log since the last look, in the journal and now and then in the page.
func checkUnrepeated(t *testing.T, e *emulatortest.Emulator, i int, logs *bytes.Buffer) {
	t.Helper()
	told := map[string]string{"the log": logs.String()}
	logs.Reset()
	const now = 50
	if i%now == 0 {
		for _, path := range []string{"/emulator/v1/requests?limit=600", "/emulator/requests", fmt.Sprintf("/emulator/requests?open=%d", e.Last(t).Sequence), "/emulator/v1/metrics"} {
			told[path] = e.Exchange(t, "GET "+path+"\n\n").Body
		}
	}
	for where, text := range told {
		lines := strings.Split(text, "\n")
		if at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "planted") }); at >= 0 {
			t.Errorf("%s: %s", where, lines[at])
		}
	}
}
