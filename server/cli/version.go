package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints the version of the program, of Go, and the platform.
func (*versionCommand) Run(std streams) error {
	_, err := fmt.Fprintf(std.out, "%s %s (%s, %s/%s)\n", program, version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version returns the module's version or, if that is unknown, the commit that was built.
func version() string {
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
