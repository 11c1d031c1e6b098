package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

type versionCommand struct{}

// Run prints the version of the program, of Go, and the platform.
func (*versionCommand) Run(std streams) error { return printVersion(std.out) }

// versionFlag is a flag that prints the version and ends the program.
type versionFlag bool

// BeforeReset is called by the parser as soon as it finds the flag.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	err := printVersion(app.Stdout)
	app.Exit(0)
	return err
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s %s (%s, %s/%s)\n", program, version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// stamp is the version that a build was given: -ldflags "-X gcp-metadata-emulator/server/cli.stamp=v1.2.3".
// A build in an image or from an archive does not know its commit.
var stamp string //nolint:gochecknoglobals // the linker can set only variables

// version returns the version given to the build, or else the module's version, or else the commit.
func version() string {
	if stamp != "" {
		return stamp
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	switch revision := settings["vcs.revision"]; {
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	case revision != "" && settings["vcs.modified"] == "true":
		return revision + "+modified"
	case revision != "":
		return revision
	default:
		return "devel"
	}
}
