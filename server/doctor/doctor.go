// Package doctor predicts which server each client library and tool finds when it looks for
// credentials and for Google's APIs on this machine: the emulator, Google, another server or
// nothing. Each prediction has the rule that leads there, and the change that would help.
//
// The rules of each client are data, in clients.go; rules.go explains the columns. Package reach has the
// environment variables that lead clients to an emulator; the command line probes servers and writes the
// report.
package doctor

import (
	"cmp"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/reach"
)

// Surroundings holds all facts that decide where programs look for Google's servers.
type Surroundings struct {
	Variable func(name string) string
	Home     string                                   // the home directory
	Read     func(file string) ([]byte, error)        // reads a file
	Age      func(file string) (time.Duration, error) // time since a file was written
	Hosts    map[string]string                        // the address of each name in the hosts file
	Resolve  func(name string) string                 // returns the address that a nameserver on this machine has for a name, or ""; nil: there is none

	Emulator   string                             // host and port of the emulator
	IsEmulator func(scheme, hostport string) bool // reports whether the emulator answers there, given "http" or "https"
	Trusts     func(file string) bool             // reports whether a file of roots has the emulator's authority, or needs none; "" names the roots of the system
	Universe   string                             // the domain of the APIs; empty: Google's own
	Arguments  string                             // what the emulator's commands need to find it, if anything: --url URL

	Accepts func(Credential) bool       // reports whether the emulator accepts the secret of a credential file; nil: it accepts all
	Version func(program string) string // returns the version of an installed program, such as v24.1.0, or ""; nil: none is installed
}

// Credential is the part of a credential file by which the emulator recognises its own: a key of an
// account, or a refresh token.
type Credential struct {
	Email, KeyID string
	RefreshToken string
}

// Verdict is the kind of server that a program finds.
type Verdict string

// The verdicts.
const (
	FindsEmulator  Verdict = "emulator"
	FindsUntrusted Verdict = "untrusted" // the emulator, whose certificate it refuses
	FindsRefusal   Verdict = "refused"   // the emulator, which refuses its credential
	FindsGoogle    Verdict = "google"
	FindsOther     Verdict = "other"   // another server
	FindsNothing   Verdict = "nothing" // it does not look for a server, or refuses its settings
	FindsUnknown   Verdict = "unknown" // the rules here do not cover it
)

// Purposes for which a client looks for servers.
const (
	ForCredentials = "credentials" // to get the default credentials
	ForAPIs        = "apis"        // to call hosts of Google that are compiled in
)

// Finding is the result for a client: the server, the rule that leads there, and the change that would
// lead to the emulator.
type Finding struct {
	Client      string   `json:"client"`
	For         string   `json:"for"`            // ForCredentials or ForAPIs
	APIs        []string `json:"apis,omitempty"` // the APIs that the finding is about; empty: all
	ByVariables bool     `json:"byVariables"`    // the variables that exec and env set by default lead it to the emulator
	Finds       Verdict  `json:"finds"`
	At          string   `json:"at"` // host and port, or a file
	Because     string   `json:"because"`
	Change      string   `json:"change,omitempty"` // empty if it finds the emulator
}

// Commands that lead programs to the emulator.
const (
	envCommand = "gcp-metadata-emulator env"
	byEnv      = `eval "$(` + envCommand + `)"`
	byProxy    = `eval "$(` + envCommand + ` --reach proxy)"`
	byTakeover = "scripts/namespace -- COMMAND"
)

const (
	httpPort  = "80"
	httpsPort = "443"
)

// Diagnose returns the findings of all known clients.
func (s Surroundings) Diagnose() []Finding {
	usual := s.Usual()
	var findings []Finding
	for _, c := range clients(s.version("node")) {
		if c.metadata != "" {
			one := s.credentials(c)
			one.Client, one.For = c.name, ForCredentials
			one.ByVariables = usual.credentials(c).Finds == FindsEmulator
			findings = append(findings, one)
		}
		findings = append(findings, s.apis(c, usual)...)
	}
	for i := range findings {
		findings[i].Change = strings.ReplaceAll(findings[i].Change, envCommand, envCommand+s.arguments())
	}
	return findings
}

// apis returns the findings for the hosts of Google that a client calls, one for each verdict and
// remedy. Findings without a remedy are last.
func (s Surroundings) apis(c client, usual Surroundings) []Finding {
	var findings []Finding
	for _, one := range c.apis {
		found := s.follow(c, request{c.because, c.remedy}, []endpoint{one}, nil)
		byVariables := usual.follow(c, request{}, []endpoint{one}, nil).Finds == FindsEmulator
		at := slices.IndexFunc(findings, func(f Finding) bool { return f.Finds == found.Finds && f.Change == found.Change })
		if at < 0 {
			found.Client, found.For, found.ByVariables = c.name, ForAPIs, true
			at, findings = len(findings), append(findings, found)
		}
		findings[at].APIs = append(findings[at].APIs, one.name)
		findings[at].ByVariables = findings[at].ByVariables && byVariables
	}
	if len(findings) == 1 {
		findings[0].APIs = nil
	}
	order.SortStable(findings, func(a, b Finding) int {
		return -cmp.Compare(min(len(a.Change), 1), min(len(b.Change), 1))
	})
	return findings
}

func (s Surroundings) version(program string) string {
	if s.Version == nil {
		return ""
	}
	return s.Version(program)
}

// arguments returns the arguments of the emulator's commands, after a space, or "".
func (s Surroundings) arguments() string {
	if s.Arguments == "" {
		return ""
	}
	return " " + s.Arguments
}

// Usual returns surroundings of the same emulator with only the variables that exec and env set by
// default.
func (s Surroundings) Usual() Surroundings {
	set := map[string]string{}
	for _, variable := range (reach.Target{URL: &url.URL{Scheme: "http", Host: s.Emulator}, GcloudConfig: "/"}).Variables() {
		set[variable.Name] = variable.Value
	}
	return Surroundings{
		Variable:   func(name string) string { return set[name] },
		Read:       func(string) ([]byte, error) { return nil, os.ErrNotExist },
		Age:        func(string) (time.Duration, error) { return 0, os.ErrNotExist },
		Emulator:   s.Emulator,
		IsEmulator: func(_, hostport string) bool { return hostport == s.Emulator },
		Trusts:     func(string) bool { return false },
	}
}

// credentials returns the server from which a client gets its default credentials.
func (s Surroundings) credentials(c client) Finding {
	for _, one := range c.steps {
		if found, isFinal := s.take(c, one); isFinal {
			return found
		}
	}
	found := s.metadata(c, strings.Fields(c.hosts), c.metadata)
	if _, isGoogles := s.holds(condition{product}); found.Finds == FindsEmulator && c.pings != "" && !isGoogles {
		c.alone = true
		if ping := s.metadata(c, strings.Fields(c.pings), reach.MetadataAddress); ping.Finds != FindsEmulator {
			return ping
		}
	}
	return found
}

// take returns the finding of one step. isFinal reports whether the client stops there.
func (s Surroundings) take(c client, one step) (found Finding, isFinal bool) {
	if one.reads != "" {
		file, by := s.file(one.reads)
		if file == "" {
			return Finding{}, false
		}
		return s.byFile(c, file, by), true
	}
	by, holds := s.holds(one.when)
	_, isKept := s.holds(one.unless)
	if len(one.when) > 0 && !holds || isKept {
		return Finding{}, false
	}
	by = request{cmp.Or(by.rule, one.because), cmp.Or(one.change, by.remedy)}
	if len(one.asks) == 0 {
		return Finding{Finds: one.finds, Because: by.rule, Change: by.remedy}, true
	}
	found = s.follow(c, by, one.asks, nil)
	return found, found.Finds != FindsEmulator || !one.further
}

// metadata returns the metadata server of a client: the server that a variable names, or otherwise.
func (s Surroundings) metadata(c client, variables []string, otherwise string) Finding {
	if c.alone {
		c.proxies = proxies{}
	}
	host, by := otherwise, request{"compiled in", byEnv}
	switch {
	case len(variables) > 0:
		by.rule = strings.Join(variables, " or ") + " is not set"
	case c.proxies.plain != "":
		by.remedy = byProxy
	default:
		by.remedy = byTakeover
	}
	for _, name := range variables {
		value := s.Variable(name)
		if value == "" {
			continue
		}
		host, by = value, request{name + "=" + value, "export " + name + "=" + s.Emulator}
		switch isURL := strings.Contains(value, "://"); {
		case isURL && c.urls:
			return s.endpoint(c, value, by)
		case isURL:
			return Finding{Finds: FindsNothing, Because: by.and("which is not a host").rule, Change: by.remedy}
		}
		break
	}
	return s.connect(c, "http", withPort(host, httpPort), by)
}
