package server_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "gcp-metadata-emulator"

// layers are the packages from the top down. A package may only import packages of lower layers, and
// no package of its own layer.
func layers() [][]string {
	return [][]string{
		{""},
		{"server/cli", "server/servertest", "server/emulatortest"},
		{"server", "server/kubernetes", "server/store/etcd"},
		{
			"server/mds", "server/oauth2", "server/tokeninfo", "server/userinfo", "server/sts", "server/iamcredentials", "server/iamadmin", "server/iamroles", "server/iampools",
			"server/resourcemanager", "server/compute", "server/cloudrun", "server/publishedkeys", "server/control", "server/page", "server/door", "server/neighbour", "server/proxy", "server/realcredentials",
		},
		{"server/sts/awsrequest", "server/sts/saml"},
		{"server/observer"},
		{"server/fault/inject"},
		{"server/rpc", "server/iampolicy", "server/purpose"},
		{"server/guard"},
		{"server/oauthapi", "server/googleapi"},
		{"server/errorpage", "server/look", "server/router", "server/partial"},
		{"server/wire"},
		{"server/iap", "server/record"},
		{"server/credentials", "server/attack", "server/compare", "server/ingress"},
		{"server/replica"},
		{"server/oslogin", "server/token", "server/event", "server/workloads", "server/world/worldtest"},
		{"server/accountkeys", "server/assertion"},
		{"server/world"},
		{"server/conformance", "server/doctor", "server/reach/shell"},
		{"server/iam", "server/reach", "server/store", "server/unplayed", "signer", "server/records/recordstest"},
		{"server/explain"},
		{"server/fault", "server/journal", "server/metrics"},
		{"server/filter"},
		{"server/outward/outwardtest"},
		{"server/caller", "server/clock", "server/outward", "server/wildcard", "server/trust", "server/profiles"},
		{"fixtures"},
		{"keys"},
		{"keys/disk"},
		{"fixtures/input", "fixtures/spelling", "server/emulatortest/aloud", "server/background", "server/condition", "server/router/hostname", "server/loopback", "server/lru", "server/markup", "server/nameserver", "server/park", "server/peers", "server/stall", "server/watch", "server/reach/javaoptions", "server/pseudonym", "server/reason", "server/records", "server/retired", "server/script", "server/cli/completion", "server/cli/manual"},
		{"server/order"},
	}
}

// isOutside reports whether a package is not part of the emulator.
func isOutside(name string) bool { return strings.HasPrefix(name, "scripts/") }

type goPackage struct {
	ImportPath string   `json:"ImportPath"`
	Doc        string   `json:"Doc"`
	Imports    []string `json:"Imports"`
	Deps       []string `json:"Deps"`
}

// packages returns the packages of the build with the given tags, by their names.
func packages(t *testing.T, tags ...string) map[string]goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-tags", strings.Join(tags, ","), "-json=ImportPath,Doc,Imports,Deps", "./...")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]goPackage{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[name(p.ImportPath)] = p
	}
}

func name(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

func layerOf(name string) int {
	return slices.IndexFunc(layers(), func(layer []string) bool { return slices.Contains(layer, name) })
}

func TestArrowsGoDown(t *testing.T) {
	t.Parallel()
	for _, tags := range [][]string{nil, {"cluster"}} {
		checkArrows(t, packages(t, tags...))
	}
}

func checkArrows(t *testing.T, all map[string]goPackage) {
	t.Helper()
	for own, p := range all {
		if isOutside(own) {
			continue
		}
		layer := layerOf(own)
		if layer < 0 {
			t.Errorf("package %q has no layer", own)
			continue
		}
		for _, path := range p.Imports {
			if !strings.HasPrefix(path, module) {
				continue
			}
			if imported := name(path); layerOf(imported) <= layer {
				t.Errorf("package %q imports %q, which is not below it", own, imported)
			}
		}
	}
}

// The packages at the top level are usable without the server: only main imports the server.
func TestTopFoldersImportNothingFromServer(t *testing.T) {
	t.Parallel()
	below := map[string][]string{"fixtures": {"fixtures", "keys"}, "signer": {"signer", "keys"}, "keys": {"keys"}}
	checked := 0
	for own, p := range packages(t) {
		top, _, _ := strings.Cut(own, "/")
		allowed, isTop := below[top]
		if !isTop {
			continue
		}
		checked++
		for _, path := range p.Imports {
			imported, _, _ := strings.Cut(name(path), "/")
			if strings.HasPrefix(path, module) && !slices.Contains(allowed, imported) {
				t.Errorf("package %q imports %q, which is not below it", own, name(path))
			}
		}
	}
	if checked < len(below) {
		t.Errorf("only %d packages were checked", checked)
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for own, p := range packages(t) {
		if len(p.Doc) < 40 {
			t.Errorf("package %q has no comment", own)
		}
	}
}

func TestDomainKnowsNoHTTP(t *testing.T) {
	t.Parallel()
	found := packages(t)
	for _, own := range []string{
		"keys", "keys/disk", "signer", "fixtures", "server/store", "server/records", "server/replica", "server/clock", "server/fault", "server/journal", "server/metrics", "server/world", "server/condition", "server/iam",
		"server/token", "server/event", "server/workloads", "server/accountkeys", "server/ingress", "server/iap", "server/outward", "server/purpose", "server/reach", "server/reach/shell", "server/doctor", "server/trust", "server/router/hostname", "server/loopback", "server/lru", "server/nameserver", "server/reason", "server/retired", "server/unplayed", "server/explain",
	} {
		if slices.Contains(found[own].Imports, "net/http") {
			t.Errorf("package %q imports net/http", own)
		}
	}
}

func TestBinaryLinksNoTestCode(t *testing.T) {
	t.Parallel()
	for _, path := range packages(t)[""].Deps {
		if path == "testing" || path == "net/http/httptest" {
			t.Errorf("the binary links %s", path)
		}
	}
}

// The default binary does not pay for the code of clusters.
func TestBinaryLinksNoClusterCode(t *testing.T) {
	t.Parallel()
	isOfCluster := func(path string) bool {
		return strings.HasPrefix(path, "k8s.io/") || strings.HasPrefix(path, "sigs.k8s.io/") || strings.HasPrefix(path, "go.etcd.io/")
	}
	if !slices.ContainsFunc(packages(t, "cluster")[""].Deps, isOfCluster) {
		t.Error("the build with the tag cluster links neither Kubernetes nor etcd")
	}
	for _, path := range packages(t)[""].Deps {
		if isOfCluster(path) {
			t.Errorf("the binary links %s", path)
		}
	}
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	command := exec.Command("git", "ls-files")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	allowed := []string{
		"go.mod", "go.sum", "main.go", "server", "signer", "keys", "fixtures", "scripts", "Dockerfile", "integration", "README.md", "LICENSE",
	}
	for file := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(filepath.ToSlash(strings.TrimSpace(file)), "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s does not belong at the top level", top)
		}
	}
}
