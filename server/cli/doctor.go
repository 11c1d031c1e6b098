package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/server/doctor"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/trust"
)

type doctorCommand struct {
	clientFlags `embed:""`

	Format  string   `enum:"table, json" env:"GCP_METADATA_EMULATOR_DOCTOR_FORMAT" default:"table" help:"Output format: ${enum}."`
	Clients []string `arg:"" optional:"" name:"client" help:"Limit the report to clients whose names start with this, such as python (default: all)."`
}

// Run reports the server that each client finds. It fails if a client does not find default
// credentials at the emulator. If the user names no clients, only clients count that environment
// variables can redirect.
func (c *doctorCommand) Run(ctx context.Context, std streams) error {
	base, err := c.base()
	if err != nil {
		return err
	}
	published, missing := c.get(ctx, certificatesPath)
	probe := &probe{
		ctx: ctx, published: published, known: map[string]bool{},
		authority: sync.OnceValue(func() string {
			certificate, _ := c.get(ctx, "/emulator/v1/ca.pem") // without a certificate, no file can trust it
			return certificate
		}),
	}
	c.tellWorkload(ctx, std)
	findings, err := c.chosen(c.surroundings(ctx, base.Host, probe).Diagnose())
	if err != nil {
		return err
	}
	if err := writeFindings(std.out, c.Format, findings); err != nil || missing != nil {
		return errorsFirst(missing, err)
	}
	return judge(findings, len(c.Clients) > 0)
}

// surroundings describes this machine to the doctor.
func (c *doctorCommand) surroundings(ctx context.Context, emulator string, p *probe) doctor.Surroundings {
	home, _ := os.UserHomeDir()                                               // without HOME, there are no files in it
	universe, _ := c.get(ctx, "/computeMetadata/v1/universe/universe-domain") // profiles other than a VM's do not name it
	s := doctor.Surroundings{
		Variable: os.Getenv, Home: home, Read: input.ReadFile, Age: age, Hosts: hostsFile(), Resolve: resolver(ctx), Universe: universe,
		Emulator: emulator, IsEmulator: p.isEmulator,
		Trusts:  func(file string) bool { return trust.Holds(file, p.authority()) },
		Accepts: func(secret doctor.Credential) bool { return p.published == "" || c.accepts(ctx, secret) },
		Version: func(program string) string { return versionOf(ctx, program) },
	}
	if c.URL != cmp.Or(os.Getenv(envPrefix+"_URL"), usualURL) {
		s.Arguments = strings.TrimSpace(s.Arguments + " --url " + c.URL)
	}
	if c.ControlURL != os.Getenv(envPrefix+"_CONTROL_URL") {
		s.Arguments = strings.TrimSpace(s.Arguments + " --control-url " + c.ControlURL)
	}
	return s
}

// chosen returns the findings of the clients that the user named, or all findings.
func (c *doctorCommand) chosen(findings []doctor.Finding) ([]doctor.Finding, error) {
	var names []string
	for _, f := range findings {
		names = append(names, f.Client)
	}
	begins := func(name, beginning string) bool {
		return strings.HasPrefix(strings.ToLower(name), strings.ToLower(beginning))
	}
	for _, beginning := range c.Clients {
		if !slices.ContainsFunc(names, func(name string) bool { return begins(name, beginning) }) {
			return nil, &usageError{&hintError{
				message: fmt.Sprintf("no client's name starts with %q", beginning),
				hint:    "the clients are: " + strings.Join(slices.Compact(names), ", "),
			}}
		}
	}
	return slices.DeleteFunc(findings, func(f doctor.Finding) bool {
		return len(c.Clients) > 0 && !slices.ContainsFunc(c.Clients, func(beginning string) bool { return begins(f.Client, beginning) })
	}), nil
}

// accepts reports whether the emulator knows the secret of a credential file.
func (c *doctorCommand) accepts(ctx context.Context, secret doctor.Credential) bool {
	if secret.KeyID != "" {
		published, err := c.get(ctx, "/service_accounts/v1/metadata/x509/"+url.PathEscape(secret.Email))
		return err == nil && strings.Contains(published, strconv.Quote(secret.KeyID))
	}
	answer, err := c.post(ctx, "/emulator/v1/tokens:verify", map[string]string{"token": secret.RefreshToken})
	var verdict struct {
		Valid bool `json:"valid"`
	}
	return err == nil && json.Unmarshal([]byte(answer), &verdict) == nil && verdict.Valid
}

// versionOf returns the version that a program prints. If the program is not installed, or is too slow,
// the version is "".
func versionOf(ctx context.Context, program string) string {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, "--version") //nolint:gosec // the doctor's own table names the program
	command.WaitDelay = patience
	out, err := command.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// errorsFirst returns the first error that is not nil.
func errorsFirst(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// judge returns an error if a client does not find its default credentials at the emulator. If the user
// named clients, all of them count; otherwise only the clients count that variables can lead there.
func judge(findings []doctor.Finding, named bool) error {
	var all, lost, others int
	for _, finding := range findings {
		switch {
		case finding.For != doctor.ForCredentials:
		case !named && !finding.ByVariables:
			others++
		default:
			all++
			if finding.Finds != doctor.FindsEmulator {
				lost++
			}
		}
	}
	if lost == 0 {
		return nil
	}
	message := fmt.Sprintf("%d of %d clients do not get their credentials from the emulator", lost, all)
	if others > 0 {
		message += fmt.Sprintf("; %d further clients, which variables alone cannot lead there, do not count", others)
	}
	return &hintError{
		message: message,
		hint:    "the column CHANGE says what to do; to check only some clients, name them: doctor go python",
	}
}

func writeFindings(w io.Writer, format string, findings []doctor.Finding) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(map[string]any{"findings": findings})
	}
	const gap = 2
	table := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	_, _ = fmt.Fprintln(table, "CLIENT\tLOOKS FOR\tFINDS\tAT\tBECAUSE\tCHANGE") // the writer reports the error in Flush
	for _, f := range findings {
		row := []string{f.Client, f.For + briefly(f.APIs), string(f.Finds), f.At, f.Because, f.Change}
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// briefly returns the names of APIs for a cell of a table.
func briefly(apis []string) string {
	const most = 3
	switch rest := len(apis) - most; {
	case len(apis) == 0:
		return ""
	case rest > 1:
		return fmt.Sprintf(": %s and %d more", strings.Join(apis[:most], ", "), rest)
	default:
		return ": " + strings.Join(apis, ", ")
	}
}

// certificatesPath is the path of the emulator's public keys. They distinguish it from other
// emulators.
const certificatesPath = "/oauth2/v3/certs"

// probe asks servers on this machine, and no others, whether they are the emulator.
type probe struct {
	ctx       context.Context //nolint:containedctx // its life is one command
	published string          // the emulator's public keys; empty if there is no emulator
	authority func() string
	known     map[string]bool
}

func (p *probe) isEmulator(scheme, hostport string) bool {
	base := scheme + "://" + hostport
	is, asked := p.known[base]
	if !asked {
		is = p.published != "" && isOwn(hostport) && p.publishes(base)
		p.known[base] = is
	}
	return is
}

// isOwn reports whether an address belongs to this machine. The address of Google's metadata
// server does if an emulator has taken it over.
func isOwn(hostport string) bool {
	if isLoopback(hostport) {
		return true
	}
	host, _, _ := net.SplitHostPort(hostport)
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(one net.Addr) bool {
		network, ok := one.(*net.IPNet)
		return ok && network.IP.Equal(address.AsSlice())
	})
}

// publishes reports whether the server at a base URL publishes the emulator's keys.
func (p *probe) publishes(base string) bool {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	if strings.HasPrefix(base, "https:") {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(p.authority()))
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "www.googleapis.com", MinVersion: tls.VersionTLS12}
		if own, err := tls.LoadX509KeyPair(reach.MetadataClient, reach.MetadataClient); err == nil { // the metadata server asks for it
			transport.TLSClientConfig.Certificates = []tls.Certificate{own}
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+certificatesPath, http.NoBody)
	if err != nil {
		return false
	}
	request.Host = "www.googleapis.com" // the emulator serves its keys under this name on every listener
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	published, err := io.ReadAll(io.LimitReader(response.Body, int64(len(p.published))+1))
	return err == nil && string(published) == p.published
}

// age returns the time since a file was last written.
func age(file string) (time.Duration, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return time.Since(info.ModTime()), nil
}

// resolver returns a function that asks the nameserver of this machine for an address, or nil if the
// system's only nameserver is elsewhere.
func resolver(ctx context.Context) func(name string) string {
	const patience = time.Second
	configuration, _ := os.ReadFile("/etc/resolv.conf") // without the file, there is no nameserver
	own := false
	for line := range strings.Lines(string(configuration)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			if own = fields[1] == ownNameserver; !own {
				return nil
			}
		}
	}
	if !own {
		return nil
	}
	return func(name string) string {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		addresses, err := (&net.Resolver{PreferGo: true}).LookupNetIP(ctx, "ip4", name+".")
		if err != nil || len(addresses) == 0 {
			return ""
		}
		return addresses[0].Unmap().String()
	}
}

// ownNameserver is the nameserver's address in scripts/namespace.
const ownNameserver = "127.0.0.1"

// hostsFile returns the names in this machine's hosts file, with the first address of each.
func hostsFile() map[string]string {
	content, _ := os.ReadFile("/etc/hosts") // the file may be missing
	hosts := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		for i, name := range fields {
			if _, known := hosts[strings.ToLower(name)]; i > 0 && !known {
				hosts[strings.ToLower(name)] = fields[0]
			}
		}
	}
	return hosts
}
