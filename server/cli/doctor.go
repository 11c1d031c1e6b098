package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"gcp-metadata-emulator/server/doctor"
	"gcp-metadata-emulator/server/trust"
)

type doctorCommand struct {
	clientFlags `embed:""`

	Format  string   `enum:"table,json" env:"GCP_METADATA_EMULATOR_DOCTOR_FORMAT" default:"table" help:"Output format: ${enum}."`
	Clients []string `arg:"" optional:"" name:"client" help:"Limit the report to clients whose names start with this, such as python (default: all)."`
}

// Run reports the server that each client finds. It fails if a client does not find default
// credentials at the emulator. If the user names no clients, only clients that environment
// variables can redirect count.
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
	home, _ := os.UserHomeDir() // without HOME, there are no files in it
	surroundings := doctor.Surroundings{
		Variable: os.Getenv, Home: home, Read: os.ReadFile, Age: age, Hosts: hostsFile(),
		Emulator: base.Host, IsEmulator: probe.isEmulator,
		Trusts: func(file string) bool { return trust.Holds(file, probe.authority()) },
	}
	findings := slices.DeleteFunc(surroundings.Diagnose(), func(f doctor.Finding) bool {
		return len(c.Clients) > 0 && !slices.ContainsFunc(c.Clients, func(beginning string) bool {
			return strings.HasPrefix(strings.ToLower(f.Client), strings.ToLower(beginning))
		})
	})
	if len(findings) == 0 {
		return &usageError{fmt.Errorf("no client's name starts with %q", c.Clients)}
	}
	if err := writeFindings(std.out, c.Format, findings); err != nil || missing != nil {
		return errorsFirst(missing, err)
	}
	if len(c.Clients) == 0 {
		findings = slices.DeleteFunc(findings, func(f doctor.Finding) bool { return !f.ByVariables })
	}
	return judge(findings)
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

// judge returns an error if a client does not find its default credentials at the emulator.
func judge(findings []doctor.Finding) error {
	var all, lost int
	for _, finding := range findings {
		if finding.For != doctor.ForCredentials {
			continue
		}
		all++
		if finding.Finds != doctor.FindsEmulator {
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	return &hintError{
		message: fmt.Sprintf("%d of %d clients do not get their credentials from the emulator", lost, all),
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
		row := []string{f.Client, f.For, string(f.Finds), f.At, f.Because, f.Change}
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
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
