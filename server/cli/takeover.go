package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"gcp-metadata-emulator/server/loopback"
	"gcp-metadata-emulator/server/reach"
)

// takeOver gives this machine the address of Google's metadata server, until the function that
// it returns is called.
func takeOver(std streams) (giveBack func(), err error) {
	remove, err := loopback.Add(netip.MustParseAddr(reach.MetadataAddress))
	if err != nil {
		return nil, &hintError{
			message: fmt.Sprintf("cannot take the address %s: %v", reach.MetadataAddress, rootCause(err)),
			hint:    takeoverHint(err),
			cause:   err,
		}
	}
	return func() {
		if err := remove(); err != nil {
			_, _ = fmt.Fprintf(std.err, "%s: %v\nhint: ip address del %s/32 dev lo\n", program, err, reach.MetadataAddress)
		}
	}, nil
}

// hostsVariable names a hosts file for the command of exec, which no variable makes the system
// read. Who sets it for exec itself lays that file over the system's, as scripts/namespace does.
const hostsVariable = envPrefix + "_HOSTS"

// writeHosts writes a hosts file, like the machine's but for the names that lead to the emulator.
func writeHosts(dir string) (reach.Variable, error) {
	var text strings.Builder
	printHosts(&text)
	machine, _ := os.ReadFile("/etc/hosts") // there may be none
	text.Write(machine)
	const readable = 0o644
	file := filepath.Join(dir, "hosts")
	return reach.Variable{Name: hostsVariable, Value: file}, os.WriteFile(file, []byte(text.String()), readable)
}

// warnOfNames says that programs do not find the emulator by the names of Google's servers, where the
// machine's hosts file does not say so and nobody will lay another one over it.
func warnOfNames(file string, std streams) {
	machine := hostsFile()
	for _, line := range reach.HostsLines() {
		for _, name := range line.Names {
			if machine[name] == line.Address || os.Getenv(hostsVariable) != "" {
				continue
			}
			_, _ = fmt.Fprintf(std.err, "%s: the system's hosts file does not lead %q and the like here: programs find the emulator at %s alone\n"+
				"hint: the lines are in %q; scripts/namespace -- COMMAND brings them to the command\n", program, name, reach.MetadataAddress, file)
			return
		}
	}
}

// printHosts prints the lines of a hosts file that lead programs to the emulator.
func printHosts(w io.Writer) {
	for _, line := range reach.HostsLines() {
		_, _ = fmt.Fprintln(w, line)
	}
}

func takeoverHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run as root, or in a network of its own: scripts/namespace -- COMMAND"
	case errors.Is(err, errors.ErrUnsupported):
		return "--takeover is for Linux, and this is " + runtime.GOOS + "; use exec --reach proxy, or a container"
	default:
		return "see whether another interface of this machine is to have it"
	}
}
