package server_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/server/token"
)

var _ = flag.Bool("update", false, "write the generated tables of the READMEs")

// The READMEs list every route and every role.
func TestReadmesHaveGeneratedTables(t *testing.T) {
	routes := [][]string{{"route", "requests"}}
	for _, described := range server.DescribedRoutes() {
		routes = append(routes, []string{code(described[0]), code(described[1:]...)})
	}
	emulatortest.Generated(t, "README.md", "routes", emulatortest.TableOf(routes...))

	roles := [][]string{{"role", "permissions that the emulator checks"}}
	for _, role := range iam.Predefined() {
		roles = append(roles, []string{code(role.Name), briefly(role.Permissions)})
	}
	emulatortest.Generated(t, "iam/README.md", "roles", emulatortest.TableOf(roles...))
}

// server/README.md lists every package, from the top layer to the bottom.
func TestReadmeListsPackages(t *testing.T) {
	found := packages(t)
	rows := [][]string{{"package", "what it is"}}
	for _, layer := range layers() {
		for _, own := range layer {
			if p, ok := found[own]; ok && own != "" {
				_, does, _ := strings.Cut(strings.TrimPrefix(p.Doc, "Package "), " ")
				rows = append(rows, []string{code(own), does})
			}
		}
	}
	emulatortest.Generated(t, "README.md", "packages", emulatortest.TableOf(rows...))
}

// The READMEs list the rules of the metadata server and of Google's public hosts, if a script shows
// them. Each exchange of their scripts shows a rule.
func TestReadmeListsRules(t *testing.T) {
	unnamed := compare.Checks()
	type table struct {
		file, name string
		routes     []string
	}
	tables := []table{{"mds/README.md", "rules", []string{"mds."}}}
	for _, surface := range compare.Surfaces() {
		tables = append(tables, table{"compare/README.md", "rules of " + surface.Name, surface.Routes})
	}
	for _, table := range tables {
		rows := [][]string{{"rule", "rests on", "here"}}
		section := ""
		for _, wire := range script.Of(scriptsIn(t, "wire"), table.routes...) {
			for _, rule := range wire.Rules {
				for _, check := range rule.Checks {
					if !slices.Contains(compare.Checks(), check) {
						t.Errorf("there is no check %q, which shows %q", check, rule.Statement)
					}
					unnamed = slices.DeleteFunc(unnamed, func(name string) bool { return name == check })
				}
				if rule.Section != section {
					section = rule.Section
					rows = append(rows, []string{"**" + section + "**", "", ""})
				}
				rows = append(rows, []string{rule.Statement, rule.RestsOn(), rule.Here})
			}
			for _, exchange := range wire.Exchanges {
				if len(wire.RulesOf(exchange.Name)) == 0 {
					t.Errorf("the exchange %q of %q shows no rule", exchange.Name, wire.Route)
				}
			}
		}
		emulatortest.Generated(t, table.file, table.name, emulatortest.TableOf(rows...))
	}
	if len(unnamed) > 0 {
		t.Errorf("the checks %q show no rule", unnamed)
	}
}

// The program carries the scripts that show rules as testdata/wire has them.
func TestReadmeScriptsArePacked(t *testing.T) {
	const file = "scripts.gz"
	want := slices.DeleteFunc(scriptsIn(t, "wire"), func(wire script.Script) bool { return len(wire.Rules) == 0 })
	if flag.Lookup("update").Value.String() == "true" {
		packed := emulatortest.Must[[]byte](t)(script.Pack(want))
		if err := os.WriteFile(file, packed, 0o644); err != nil { //nolint:gosec // as git writes it
			t.Fatal(err)
		}
		return
	}
	got := emulatortest.Must[[]script.Script](t)(script.Unpack(emulatortest.Must[[]byte](t)(os.ReadFile(file))))
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-is +should be; go test -run %s -update writes it):\n%s", file, t.Name(), diff)
	}
}

// code returns words as code.
func code(words ...string) string { return "`" + strings.Join(words, "`, `") + "`" }

// briefly returns sorted permissions, and joins the permissions on one kind of resource:
// `iam.roles.{get,list}`.
func briefly(permissions []string) string {
	var kinds, parts []string
	actions := map[string][]string{}
	for _, permission := range permissions {
		i := strings.LastIndex(permission, ".")
		kind, action := permission[:i], permission[i+1:]
		if actions[kind] == nil {
			kinds = append(kinds, kind)
		}
		actions[kind] = append(actions[kind], action)
	}
	for _, kind := range kinds {
		if list := strings.Join(actions[kind], ","); len(actions[kind]) == 1 {
			parts = append(parts, code(kind+"."+list))
		} else {
			parts = append(parts, code(fmt.Sprintf("%s.{%s}", kind, list)))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// The table of defects has a row for each defect, and says "no" for the tokens that cannot have it.
func TestReadmeListsDefects(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z-]+`(?:, `[a-z-]+`)*) \\|(.*)\\|(.*)\\|(.*)\\|$").FindAllStringSubmatch(readmes(t)["server/control/README.md"], -1) {
		var kinds []string
		for i, kind := range []string{"access", "id", "jwt"} {
			if !strings.HasPrefix(row[2+i], " no:") {
				kinds = append(kinds, kind)
			}
		}
		for defect := range strings.SplitSeq(row[1], ", ") {
			got[strings.Trim(defect, "`")] = kinds
		}
	}
	want := map[string][]string{}
	for _, defect := range token.KindID.Defects() {
		for _, kind := range []token.Kind{token.KindAccess, token.KindID, token.KindJWT} {
			if slices.Contains(kind.Defects(), defect) {
				want[string(defect)] = append(want[string(defect)], string(kind))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("server/control/README.md, the kinds of tokens that can have a defect (-want +got):\n%s", diff)
	}
}

// The table of clients in README.md is a short form of the matrix, which the integration tests write.
func TestReadmeHasShortMatrix(t *testing.T) {
	_, matrix, _ := strings.Cut(readmes(t)["server/reach/README.md"], "<!-- matrix -->\n")
	matrix, _, _ = strings.Cut(matrix, "<!-- end of matrix -->\n")
	var rows [][]string
	for line := range strings.Lines(matrix) {
		if strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		for i, cell := range cells[1:] {
			if len(rows) > 0 { // the first row is the head
				cells[i+1] = reachOf(cell)
			}
		}
		rows = append(rows, cells)
	}
	if len(rows) < 5 {
		t.Errorf("the matrix has %d rows", len(rows))
	}
	emulatortest.Generated(t, "../README.md", "clients", emulatortest.TableOf(rows...))
}

// reachOf returns the reach with which a request of the matrix works.
func reachOf(cell string) string {
	switch {
	case cell == "all":
		return "`env`"
	case strings.HasPrefix(cell, "no: "):
		return "–"
	default:
		works, _, _ := strings.Cut(cell, ",")
		return "`" + works + "`"
	}
}
