package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/loopback"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

// takeover is this machine's part in a takeover. The zero value takes nothing over.
type takeover struct {
	dir    string       // for the files of the metadata server with TLS; empty: none
	client *keys.Client // the only client that the metadata server with TLS accepts
	undo   []func()
}

// end gives back everything that was taken over.
func (t *takeover) end() {
	for _, undo := range slices.Backward(t.undo) {
		undo()
	}
}

// plan adds the addresses of Google's servers to a plan, if they are taken over.
func (t *takeover) plan(p plan) plan {
	if t.client == nil {
		return p
	}
	return p.withTakeover(t.client)
}

// begin adds the address of Google's metadata server to this machine.
func (t *takeover) begin(std streams) (err error) {
	if t.client, err = keys.NewClient(); err != nil {
		return err
	}
	remove, err := loopback.Add(netip.MustParseAddr(reach.MetadataAddress))
	if err != nil {
		return &hintError{
			message: fmt.Sprintf("cannot add the address %s: %v", reach.MetadataAddress, rootCause(err)),
			hint:    takeoverHint(err),
			cause:   err,
		}
	}
	t.undo = append(t.undo, func() {
		if err := remove(); err != nil {
			_, _ = fmt.Fprintf(std.err, "%s: %v\nhint: ip address del %s/32 dev lo\n", program, err, reach.MetadataAddress)
		}
	})
	return nil
}

// hostsVariable names a hosts file for exec's command. No variable makes the system read another
// hosts file, so the command must mount the file over the system's, as scripts/namespace does.
// If the variable is set for exec itself, exec assumes that its command will do so.
const hostsVariable = envPrefix + "_HOSTS"

// writeHosts writes a hosts file: the lines that lead to the emulator, followed by the machine's
// own.
func writeHosts(dir string, w *world.World) (reach.Variable, error) {
	var text strings.Builder
	printHosts(&text, w)
	machine, _ := os.ReadFile("/etc/hosts") // the file may be missing
	text.Write(machine)
	const readable = 0o644
	file := filepath.Join(dir, "hosts")
	return reach.Variable{Name: hostsVariable, Value: file}, os.WriteFile(file, []byte(text.String()), readable)
}

// warnOfNames warns if programs do not find the emulator under the names of Google's servers. If
// the machine's hosts file has the names, or the caller will replace this file, it prints nothing.
func warnOfNames(file string, std streams) {
	machine := hostsFile()
	for _, line := range reach.HostsLines() {
		for _, name := range line.Names {
			if machine[name] == line.Address || os.Getenv(hostsVariable) != "" {
				continue
			}
			_, _ = fmt.Fprintf(std.err, "%s: the system's hosts file does not lead %q and other names to the emulator: programs find it only at %s\n"+
				"hint: add the lines in %q to the hosts file, or run the command through scripts/namespace -- COMMAND\n", program, name, reach.MetadataAddress, file)
			return
		}
	}
}

// printHosts prints the lines of a hosts file that lead programs to the emulator.
func printHosts(to io.Writer, w *world.World) {
	for _, line := range reach.HostsLines(slices.Concat(furtherHosts(w), reach.UniverseHosts(w.UniverseDomain))...) {
		_, _ = fmt.Fprintln(to, line)
	}
}

// furtherHosts returns three kinds of names: names of a world's services that only services can have,
// names of Cloud Run's API for their regions, and names of the APIs of neighbours.
func furtherHosts(w *world.World) []string {
	var hosts []string
	for _, service := range w.Services() {
		hosts = append(hosts, service.Region+"-run.googleapis.com")
		for _, address := range service.URLs {
			if parsed, err := url.Parse(address); err == nil && hostname.IsService(hostname.Of(parsed.Host)) {
				hosts = append(hosts, hostname.Of(parsed.Host))
			}
		}
	}
	for _, neighbour := range w.Neighbours {
		label, _, _ := strings.Cut(neighbour.Host, ".")
		hosts = append(hosts, neighbour.Host, label+".mtls.googleapis.com")
	}
	return hosts
}

func takeoverHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run as root, or in a separate network namespace: scripts/namespace -- COMMAND"
	case errors.Is(err, errors.ErrUnsupported):
		return "--takeover needs Linux, and this is " + runtime.GOOS + "; use exec --reach proxy, or a container"
	default:
		return "check whether another interface of this machine has it"
	}
}
