package server

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/router"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/token"
)

// These tests are in package server, because the table of routes is not exported.

// Nothing about a surface, a route, an entry or a call is left undecided.
func TestEveryRowDecides(t *testing.T) {
	t.Parallel()
	needs := func(name, column string, decided bool) {
		if !decided {
			t.Errorf("server/routes.go does not decide the %s of %q", column, name)
		}
	}
	for _, s := range (surfaces{}).table() {
		needs(s.Name, "Hosts", len(s.Hosts) > 0)
		needs(s.Name, "Dialect", s.Dialect.Error != nil)
		needs(s.Name, "Guard", s.Guard != nil)
		needs(s.Name, "Watch", s.Watch == observed || s.Watch == public || s.Watch == unobserved)
		needs(s.Name, "Unknown", s.Unknown.Dialect.Error != nil && s.Unknown.Handle != nil)
		for _, r := range s.Routes {
			needs(r.Path, "Name", r.Name != "")
			needs(r.Name, "Method", r.Method != "")
			needs(r.Name, "Path", strings.HasPrefix(r.Path, "/"))
			needs(r.Name, "Handle", r.Handle != nil)
			needs(r.Name, "Subject", r.Subject.is != "")
			needs(r.Name, "Mints", isKind(r.Mints))
			needs(r.Name, "Query", r.Query != "")
			if s.Watch != unobserved && strings.Contains(r.Path, "{account") && r.Subject.of == nil {
				t.Errorf("server/routes.go has aboutNothing for %q, although %s names an account", r.Name, r.Path)
			}
		}
		for _, e := range s.Entries {
			needs(e.Name, "Subject", e.Subject != nil)
			needs(e.Name, "Mints", isKind(e.Mints))
		}
		for _, c := range s.Calls {
			needs(c.Method, "Name", c.Name != "")
			needs(c.Name, "Handle", !c.Handle.IsZero())
			needs(c.Name, "Subject", c.Subject != nil)
			needs(c.Name, "Mints", isKind(c.Mints))
		}
	}
}

func isKind(kind token.Kind) bool {
	return kind == nothing || kind == toOrder || len(kind.Defects()) > 0
}

// All rows of an operation issue the same kind of token.
func TestRowsOfAnOperationAgree(t *testing.T) {
	t.Parallel()
	kinds := map[string]token.Kind{}
	agree := func(name string, kind token.Kind) {
		if known, ok := kinds[name]; ok && known != kind {
			t.Errorf("server/routes.go has %q for the kind of token of %q, and %q in another row", known, name, kind)
		}
		kinds[name] = kind
	}
	for _, s := range (surfaces{}).table() {
		names := map[string]bool{}
		for _, r := range s.Routes {
			agree(r.Name, r.Mints)
			names[r.Name] = true
		}
		for _, c := range s.Calls {
			if agree(c.Name, c.Mints); !names[c.Name] {
				t.Errorf("server/routes.go has call %q in gRPC, and no route of the name in JSON", c.Name)
			}
		}
	}
}

// Every operation of the metadata tree has a single row.
func TestEveryEntryHasARow(t *testing.T) {
	t.Parallel()
	var rows [mds.Operations][]string
	for _, e := range (surfaces{}).metadataServer().Entries {
		rows[e.Asks] = append(rows[e.Asks], e.Name)
	}
	for operation, names := range rows {
		if len(names) != 1 {
			t.Errorf("server/routes.go has the entries %q for operation %d of package mds, want one", names, operation)
		}
	}
}

// Every method of a service that is served in gRPC has a row, and every row is such a method.
func TestEveryCallHasARow(t *testing.T) {
	t.Parallel()
	rows := (surfaces{}).table().calls()
	services := map[protoreflect.FullName]bool{}
	for method := range rows {
		service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + name))
		if _, ok := found.(protoreflect.MethodDescriptor); err != nil || !ok {
			t.Errorf("server/routes.go has call %q, which is not a method: %v", method, err)
		}
		services[protoreflect.FullName(service)] = true
	}
	for service := range services {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(service)
		if err != nil {
			t.Fatal(err)
		}
		methods := found.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			if method := "/" + string(service) + "/" + string(methods.Get(i).Name()); rows[method].Name == "" {
				t.Errorf("server/routes.go has no call %q", method)
			}
		}
	}
}

// The hosts file leads every name to the emulator, except the names of regions.
func TestEveryNameHasAHostsLine(t *testing.T) {
	t.Parallel()
	all := (surfaces{}).table()
	names, found := router.NewNames(all.hosts(), nil), map[string]bool{}
	for _, line := range reach.HostsLines() {
		for _, name := range line.Names {
			main := names.Main(hostname.Of(name))
			if main == router.DeadName {
				t.Errorf("%s leads nowhere", name)
			}
			found[main] = true
		}
	}
	for _, name := range all.hosts() {
		if !found[name] && !slices.Contains([]string{controlName, peersName, probesName}, name) { // they have addresses, and no names
			t.Errorf("no line leads %s to the emulator", name)
		}
	}
}

// Faults can demand defects only for operations that issue tokens.
func TestDefectsOfOperations(t *testing.T) {
	t.Parallel()
	want := []string{
		"iam.serviceAccounts.signJwt", "iamcredentials.generateAccessToken", "iamcredentials.generateIdToken", "iamcredentials.signJwt",
		"mds.identity", "mds.token", "oauth2.token", "sts.oauthtoken", "sts.token",
	}
	if got := slices.Sorted(maps.Keys((surfaces{}).table().defects())); !slices.Equal(got, want) {
		t.Errorf("the operations with defects are %q, want %q", got, want)
	}
}
