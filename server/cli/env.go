package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/reach/shell"
	"gcp-metadata-emulator/server/trust"
	"gcp-metadata-emulator/server/workloads"
)

type envCommand struct {
	clientFlags `embed:""`

	Reach    string `enum:"env, proxy, takeover" default:"env" help:"${reach}"`
	Instance string `placeholder:"NAME" help:"${instance}"`
	Shell    string `enum:"${shells}" default:"posix" help:"Output format: ${enum}. sh, bash and zsh are posix; terraform is a provider block for Terraform and OpenTofu."`
	Unset    bool   `help:"Print what restores the environment that was there before env, instead. Needs no emulator. Variables that env removed do not come back."`
}

// terraform is the format of a provider block. It is not a format of variables.
const terraform = "terraform"

// shells returns the values of --shell.
func shells() string { return strings.Join(append(shell.Formats(), terraform), ", ") }

// Run prints the environment variables that lead programs to a running emulator.
func (c *envCommand) Run(ctx context.Context, std streams) error {
	if c.Unset {
		return c.undo(std)
	}
	present := restoreEnvironment()
	target, err := c.target(ctx, std)
	if isReachable := err == nil || !errors.As(err, new(*url.Error)); isReachable && c.Instance == "" {
		c.tellWorkload(ctx, std) // this is why a refusal was one
	}
	if err != nil {
		return err
	}
	if c.Shell == terraform {
		return c.writeTerraform(ctx, target, std)
	}
	variables, obstacles := c.variables(target)
	obstacles = slices.DeleteFunc(slices.Clone(obstacles), func(name string) bool {
		return !target.IsObstacle(name, present[name], obstacles)
	})
	variables, obstacles = giveBack(present, variables, obstacles)
	if !shell.Unsets(c.Shell) { // nor can these formats restore a variable
		variables = slices.DeleteFunc(variables, func(v reach.Variable) bool { return v.Name == reach.BeforeVariable })
		warnOfObstacles(std, present, c.Shell, obstacles)
	}
	warnOfUserFiles(std)
	return write(std.out, c.Shell, variables, obstacles)
}

// undo prints the statements that restore the environment of before.
func (c *envCommand) undo(std streams) error {
	if c.Shell == terraform || !shell.Unsets(c.Shell) {
		return &usageError{fmt.Errorf("--unset cannot be written as %s: choose another format with --shell", c.Shell)}
	}
	set, unset := reach.NewEnvironment(os.Environ()).Undo()
	if len(unset) == 0 {
		_, _ = fmt.Fprintf(std.err, "%s: no variable here leads to an emulator, so there is nothing to unset\n", program)
	}
	return write(std.out, c.Shell, set, unset)
}

// writeTerraform prints a provider block for the region of the instance.
func (c *envCommand) writeTerraform(ctx context.Context, target reach.Target, std streams) error {
	zone, err := c.get(ctx, "/computeMetadata/v1/instance/zone")
	if err != nil {
		return err
	}
	zone = zone[strings.LastIndexByte(zone, '/')+1:]
	region := zone[:max(0, strings.LastIndexByte(zone, '-'))]
	_, err = io.WriteString(std.out, target.Terraform(region))
	return err
}

// target describes the running emulator to programs.
func (c *envCommand) target(ctx context.Context, std streams) (target reach.Target, err error) {
	target.ControlURL, target.NoProxy, target.Preset = c.ControlURL, noProxy(), os.Getenv
	if target.URL, err = c.base(); err != nil {
		return target, err
	}
	if c.Instance != "" {
		if target.URL, err = c.instanceURL(ctx); err != nil {
			return target, err
		}
	}
	if target.ProjectID, err = c.get(ctx, "/computeMetadata/v1/project/project-id"); err != nil {
		return target, err
	}
	if target.UniverseDomain, err = c.get(ctx, "/computeMetadata/v1/universe/universe-domain"); err != nil {
		target.UniverseDomain = "" // profiles other than a VM's do not name it
	}
	if target.GcloudConfig, err = c.gcloudConfig(ctx); errors.Is(err, errNoCache) {
		_, _ = fmt.Fprintf(std.err, "%s: gcloud gets no configuration directory of its own, because neither HOME nor XDG_CACHE_HOME is set\n", program)
		err = nil
	}
	if err == nil && c.Reach != reachEnv {
		err = c.trusting(ctx, &target)
	}
	return target, err
}

// variables returns the variables that lead to the target, and the names of the variables that lead
// elsewhere.
func (c *envCommand) variables(target reach.Target) (set []reach.Variable, obstacles []string) {
	if c.Reach == reachTakeover {
		return target.Takeover()
	}
	return target.Variables(), target.Obstacles()
}

// restoreEnvironment restores this program's environment to its state before an earlier run of
// env or exec changed it, so that the changes do not pile up. It returns the environment as it
// was on entry.
func restoreEnvironment() (present reach.Environment) {
	present = reach.NewEnvironment(os.Environ())
	before := present.Before()
	for name := range present {
		if _, isSet := before[name]; !isSet {
			_ = os.Unsetenv(name) // fails only for an invalid name
		}
	}
	for name, value := range before {
		_ = os.Setenv(name, value) // fails only for an invalid name
	}
	return present
}

// giveBack adds the previous values of variables that an earlier emulator set, unless they are
// set anew. It returns the variables to set and the names to unset.
func giveBack(present reach.Environment, variables []reach.Variable, obstacles []string) ([]reach.Variable, []string) {
	variables = append(variables, present.Before().Record(variables))
	isNew := func(name string) bool {
		return !slices.Contains(obstacles, name) && !slices.ContainsFunc(variables, func(v reach.Variable) bool { return v.Name == name })
	}
	set, unset := present.Undo()
	set = slices.DeleteFunc(set, func(v reach.Variable) bool { return !isNew(v.Name) })
	unset = slices.DeleteFunc(unset, func(name string) bool { return !isNew(name) })
	return append(variables, set...), append(obstacles, unset...)
}

// The values of --reach.
const (
	reachEnv      = "env"
	reachProxy    = "proxy"
	reachTakeover = "takeover"
)

// trusting makes programs trust the running emulator's authority. It stores the authority's
// certificate in the user's cache directory.
func (c *envCommand) trusting(ctx context.Context, target *reach.Target) error {
	certificate, err := c.get(ctx, "/emulator/v1/ca.pem")
	if err != nil {
		return err
	}
	cache, err := userCache("certificates")
	if err != nil {
		return err
	}
	target.MetadataTLS = c.Reach == reachTakeover && hasMetadataTLS(certificate)
	target.Proxy, err = throughProxy(filepath.Join(cache, keys.AuthorityFolder), certificate)
	return err
}

// throughProxy returns a proxy, and writes files into dir that make programs trust its authority.
// The files also have the programs' own trusted roots.
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

// errNoCache means that no variable names a directory for caches.
var errNoCache = errors.New("there is no cache directory")

// userCache returns the user's directory for files that can be recreated.
func userCache(what string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", &hintError{message: "cannot find a cache directory for " + what, hint: "set HOME or XDG_CACHE_HOME", cause: errors.Join(errNoCache, err)}
	}
	return filepath.Join(cache, program), nil
}

// listed is an instance in the control plane's list.
type listed struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Ingress *struct {
		Upstream string   `json:"upstream"`
		URLs     []string `json:"urls"`
	} `json:"ingress"`
}

// instances returns the emulator's instances, the default one first.
func (f clientFlags) instances(ctx context.Context) ([]listed, error) {
	answer, err := f.get(ctx, "/emulator/v1/instances")
	if err != nil {
		return nil, err
	}
	var list struct {
		Instances []listed `json:"instances"`
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return nil, fmt.Errorf("read the list of instances: %w", err)
	}
	return list.Instances, nil
}

// tellWorkload names the instance of the programs here, if it is not simply the first one. If the
// instance is unknown, it prints nothing.
func (f clientFlags) tellWorkload(ctx context.Context, std streams) {
	answer, err := f.get(ctx, "/emulator/v1/instances")
	var list struct {
		Instances []struct {
			Addresses []string `json:"addresses"`
		} `json:"instances"`
		Yours struct {
			Instance string `json:"instance"`
			ChosenBy string `json:"chosenBy"`
			Because  string `json:"because"`
			Hint     string `json:"hint"`
		} `json:"yours"`
	}
	if err != nil || json.Unmarshal([]byte(answer), &list) != nil || list.Yours.Because == "" {
		return
	}
	hasAddresses := false
	for _, one := range list.Instances {
		hasAddresses = hasAddresses || len(one.Addresses) > 0
	}
	switch own := list.Yours; {
	case own.Instance == "":
		_, _ = fmt.Fprintf(std.err, "%s: programs here get no metadata: %s\nhint: %s\n", program, own.Because, own.Hint)
	case own.ChosenBy != string(workloads.ByDefault) || hasAddresses:
		_, _ = fmt.Fprintf(std.err, "%s: programs here get the metadata of %q (by %s): %s\n", program, own.Instance, own.ChosenBy, own.Because)
	}
}

// instanceURL returns the URL of the instance's own address.
func (c *envCommand) instanceURL(ctx context.Context) (*url.URL, error) {
	list, err := c.instances(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i, instance := range list {
		names = append(names, instance.Name)
		switch {
		case instance.Name != c.Instance:
		case instance.URL == "" && i == 0:
			return c.base()
		case instance.URL == "":
			return nil, &hintError{
				message: fmt.Sprintf("instance %q has no address of its own", c.Instance),
				hint:    "set one in the fixture: listen: 127.0.0.1:0",
			}
		default:
			return url.Parse(instance.URL)
		}
	}
	return nil, noInstance(c.Instance, names)
}

// noProxy returns the hosts that the caller's environment excludes from proxies, in either
// spelling.
func noProxy() string {
	return strings.Trim(os.Getenv("NO_PROXY")+","+os.Getenv("no_proxy"), ",")
}

// warnOfObstacles names the variables that lead elsewhere, for a format that cannot unset
// variables. Not every client treats an empty variable as unset.
func warnOfObstacles(std streams, present reach.Environment, format string, obstacles []string) {
	for _, name := range obstacles {
		if present[name] != "" {
			_, _ = fmt.Fprintf(std.err, "%s: %s leads away from the emulator, and %s cannot unset it\n", program, name, format)
		}
	}
}

// gcloudConfig returns a configuration directory for gcloud that no other server shares, because
// gcloud caches tokens and discoveries there. Each run of an emulator has its own.
func (c *envCommand) gcloudConfig(ctx context.Context) (string, error) {
	run, err := c.run(ctx)
	if err != nil {
		return "", err
	}
	cache, err := userCache("gcloud's configuration")
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "gcloud", run.String(), c.Instance), nil
}

// write prints the variables to set and the names to unset.
func write(w io.Writer, format string, variables []reach.Variable, obstacles []string) error {
	text, err := shell.Write(format, variables, obstacles)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}
