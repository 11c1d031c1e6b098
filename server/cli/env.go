package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/trust"
)

type envCommand struct {
	clientFlags `embed:""`

	Reach    string `enum:"env,proxy,takeover" default:"env" help:"How programs find the emulator: by environment variables (env), and as their proxy for hosts that they have compiled in (proxy), or because it has been started with --takeover (takeover)."`
	Instance string `placeholder:"NAME" help:"Whose metadata server programs find (that of the default instance)."`
	Shell    string `enum:"posix,fish,powershell,dotenv,json,github" default:"posix" help:"For what to write it: ${enum}."`
}

// Run prints the environment that leads to a running emulator.
func (c *envCommand) Run(ctx context.Context, std streams) error {
	present := restoreEnvironment()
	base, err := c.base()
	if err != nil {
		return err
	}
	if c.Instance != "" {
		if base, err = c.instanceURL(ctx); err != nil {
			return err
		}
	}
	projectID, err := c.get(ctx, "/computeMetadata/v1/project/project-id")
	if err != nil {
		return err
	}
	gcloudConfig, err := c.gcloudConfig(ctx)
	if err != nil {
		return err
	}
	target := reach.Target{URL: base, ControlURL: c.ControlURL, ProjectID: projectID, GcloudConfig: gcloudConfig, NoProxy: noProxy()}
	if c.Reach != reachEnv {
		if target.Proxy, err = c.proxy(ctx); err != nil {
			return err
		}
	}
	variables, obstacles := target.Variables(), reach.Obstacles()
	if c.Reach == reachTakeover {
		variables, obstacles = target.Takeover()
	}
	obstacles = slices.DeleteFunc(slices.Clone(obstacles), func(name string) bool {
		return !target.IsObstacle(name, present[name], obstacles)
	})
	variables, obstacles = giveBack(present, variables, obstacles)
	if c.Shell == "dotenv" || c.Shell == "github" { // neither can give anything back
		variables = slices.DeleteFunc(variables, func(v reach.Variable) bool { return v.Name == reach.BeforeVariable })
		warnOfObstacles(std, present, c.Shell, obstacles)
	}
	warnOfUserFiles(std)
	return write(std.out, c.Shell, variables, obstacles)
}

// restoreEnvironment makes this program's environment what it was before it was made to lead to an
// emulator, so that nothing is added to what that has set; it returns the present one.
func restoreEnvironment() (present reach.Environment) {
	present = reach.NewEnvironment(os.Environ())
	before := present.Before()
	for name := range present {
		if _, isSet := before[name]; !isSet {
			_ = os.Unsetenv(name) // it is there
		}
	}
	for name, value := range before {
		_ = os.Setenv(name, value) // it is one that was set
	}
	return present
}

// giveBack adds to variables, and to those to take away, what an earlier emulator's were before,
// where they are not set anew.
func giveBack(present reach.Environment, variables []reach.Variable, obstacles []string) ([]reach.Variable, []string) {
	before := present.Before()
	variables = append(variables, before.Record(variables))
	for _, name := range slices.Sorted(maps.Keys(present)) {
		was, wasSet := before[name]
		isSet := slices.ContainsFunc(variables, func(v reach.Variable) bool { return v.Name == name })
		switch {
		case isSet || slices.Contains(obstacles, name) || wasSet && was == present[name]:
		case wasSet:
			variables = append(variables, reach.Variable{Name: name, Value: was})
		default:
			obstacles = append(obstacles, name)
		}
	}
	return variables, obstacles
}

// The values of --reach.
const (
	reachEnv      = "env"
	reachProxy    = "proxy"
	reachTakeover = "takeover"
)

// proxy is the running emulator as a proxy. Its certificate is kept where the present user's
// programs find it.
func (c *envCommand) proxy(ctx context.Context) (*reach.Proxy, error) {
	certificate, err := c.get(ctx, "/emulator/v1/ca.pem")
	if err != nil {
		return nil, err
	}
	cache, err := userCache("certificates")
	if err != nil {
		return nil, err
	}
	return throughProxy(filepath.Join(cache, keys.AuthorityFolder), certificate)
}

// throughProxy is the reach of a proxy whose authority programs trust by files in a directory,
// besides the ones that they trust already.
func throughProxy(dir, authority string) (*reach.Proxy, error) {
	var preset []string
	for _, name := range reach.CertificateFiles() {
		preset = append(preset, os.Getenv(name))
	}
	files, err := trust.Write(dir, authority, trust.Roots(preset[0], preset[1:]...))
	if err != nil {
		return nil, err
	}
	return &reach.Proxy{Trust: files, Preset: os.Getenv}, nil
}

// userCache is the user's directory for what can be made again.
func userCache(what string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", &hintError{message: "there is no cache directory for " + what, hint: "set HOME or XDG_CACHE_HOME", cause: err}
	}
	return filepath.Join(cache, program), nil
}

// instanceURL is the address of an instance's own.
func (c *envCommand) instanceURL(ctx context.Context) (*url.URL, error) {
	answer, err := c.get(ctx, "/emulator/v1/instances")
	if err != nil {
		return nil, err
	}
	var list struct {
		Instances []struct {
			Name string `json:"name"`
			URL  string `json:"url"`
		} `json:"instances"`
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return nil, fmt.Errorf("read the list of instances: %w", err)
	}
	var names []string
	for i, instance := range list.Instances {
		names = append(names, instance.Name)
		switch {
		case instance.Name != c.Instance:
		case instance.URL == "" && i == 0:
			return c.base()
		case instance.URL == "":
			return nil, &hintError{
				message: fmt.Sprintf("instance %q has no address of its own", c.Instance),
				hint:    "give it one in the fixture: listen: 127.0.0.1:0",
			}
		default:
			return url.Parse(instance.URL)
		}
	}
	return nil, noInstance(c.Instance, names)
}

// noProxy is what the caller's environment keeps from proxies, in either spelling.
func noProxy() string {
	return strings.Trim(os.Getenv("NO_PROXY")+","+os.Getenv("no_proxy"), ",")
}

// warnOfObstacles names what is set and leads elsewhere, for a format that can only set
// variables: an empty one is not the same as none to every client.
func warnOfObstacles(std streams, present reach.Environment, format string, obstacles []string) {
	for _, name := range obstacles {
		if present[name] != "" {
			_, _ = fmt.Fprintf(std.err, "%s: %s leads away from the emulator, and %s cannot unset it\n", program, name, format)
		}
	}
}

// gcloudConfig is a directory that gcloud does not share with other servers: it keeps
// there what it has found out and the tokens it was given. Each emulator that is started
// gives it another name.
func (c *envCommand) gcloudConfig(ctx context.Context) (string, error) {
	answer, err := c.get(ctx, "/emulator/v1/livez")
	if err != nil {
		return "", err
	}
	var status struct {
		Run uuid.UUID `json:"run"`
	}
	if err := json.Unmarshal([]byte(answer), &status); err != nil || status.Run == uuid.Nil {
		return "", &hintError{
			message: fmt.Sprintf("the server at %q does not tell which run of an emulator it is", cmp.Or(c.ControlURL, c.URL)),
			hint:    "is it an emulator of this version? say where it is with --url", cause: err,
		}
	}
	cache, err := userCache("gcloud's configuration")
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "gcloud", status.Run.String(), c.Instance), nil
}

// write prints variables to set and to take away.
func write(w io.Writer, shell string, variables []reach.Variable, obstacles []string) error {
	if shell == "json" {
		return writeJSON(w, variables, obstacles)
	}
	var out strings.Builder
	set, unset := statements(shell)
	for _, variable := range variables {
		out.WriteString(set(variable.Name, variable.Value) + "\n")
	}
	for _, name := range obstacles {
		out.WriteString(unset(name))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// statements are how a shell sets a variable and takes one away.
func statements(shell string) (set func(name, value string) string, unset func(name string) string) {
	switch shell {
	case "fish":
		quote := strings.NewReplacer(`\`, `\\`, "'", `\'`)
		return func(name, value string) string { return "set -gx " + name + " '" + quote.Replace(value) + "'" },
			func(name string) string { return "set -e " + name + "\n" }
	case "powershell":
		return func(name, value string) string {
				return "$Env:" + name + " = '" + strings.ReplaceAll(value, "'", "''") + "'"
			},
			func(name string) string { return "Remove-Item -ErrorAction SilentlyContinue Env:" + name + "\n" }
	case "dotenv", "github": // neither can take a variable away
		return func(name, value string) string { return name + "=" + value },
			func(string) string { return "" }
	default:
		return func(name, value string) string {
				return "export " + name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'"
			},
			func(name string) string { return "unset " + name + "\n" }
	}
}

func writeJSON(w io.Writer, variables []reach.Variable, obstacles []string) error {
	document := struct {
		Set   map[string]string `json:"set"`
		Unset []string          `json:"unset"`
	}{Set: map[string]string{}, Unset: obstacles}
	for _, variable := range variables {
		document.Set[variable.Name] = variable.Value
	}
	encoded, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the environment: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", encoded)
	return err
}
