package mds

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// These tests are in package mds because the parts of a tree are not exported.

func treeOf(t testing.TB, document string) *node {
	t.Helper()
	metadata := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	root := build(&world.Instance{Metadata: metadata}, nil)
	tree, ok := root.find("computeMetadata", "v1")
	if !ok {
		t.Fatal("no v1")
	}
	return tree
}

// recorded is the answer of a real server. Its publishers changed the addresses.
const recorded = `{"instance":{"attributes":{},"cpuPlatform":"Intel Broadwell","description":"","disks":[{"deviceName":"play-vm0","index":0,"interface":"SCSI","mode":"READ_WRITE","type":"PERSISTENT-BALANCED"}],"guestAttributes":{},"hostname":"play-vm0.c.acme-eng.internal","id":5737554347302044216,"image":"projects/debian-cloud/global/images/debian-11-bullseye-v20230814","licenses":[{"id":"3853522013536123851"}],"machineType":"projects/523926462582/machineTypes/e2-medium","maintenanceEvent":"NONE","name":"play-vm0","networkInterfaces":[{"accessConfigs":[{"externalIp":"33.162.212.82","type":"ONE_TO_ONE_NAT"}],"dnsServers":["169.254.169.254"],"forwardedIps":[],"gateway":"10.138.0.1","ip":"10.138.0.7","ipAliases":[],"mac":"42:01:0a:9a:0e:27","mtu":1460,"network":"projects/523926462582/networks/default","subnetmask":"255.255.240.0","targetInstanceIps":[]}],"preempted":"FALSE","remainingCpuTime":-1,"scheduling":{"automaticRestart":"TRUE","onHostMaintenance":"MIGRATE","preemptible":"FALSE"},"serviceAccounts":{"523926462582-compute@developer.gserviceaccount.com":{"aliases":["default"],"email":"523926462582-compute@developer.gserviceaccount.com","scopes":["https://www.googleapis.com/auth/devstorage.read_only"]},"default":{"aliases":["default"],"email":"523926462582-compute@developer.gserviceaccount.com","scopes":["https://www.googleapis.com/auth/devstorage.read_only"]}},"tags":[],"virtualClock":{"driftToken":"0"},"zone":"projects/523926462582/zones/us-west1-b"},"oslogin":{"authenticate":{"sessions":{}}},"project":{"attributes":{},"numericProjectId":523926462582,"projectId":"acme-eng"}}`

func TestRecordedDocument(t *testing.T) {
	t.Parallel()
	if got := treeOf(t, recorded).document().json.Body; got != recorded {
		t.Errorf("document differs:\n%s", cmp.Diff(recorded, got))
	}
}

func TestRecordedText(t *testing.T) {
	t.Parallel()
	text := treeOf(t, recorded).document().text.Body
	for _, line := range []string{
		"instance/network-interfaces/0/dns-servers 169.254.169.254\n",
		"instance/disks/0/device-name play-vm0\n",
		"project/numeric-project-id 523926462582\n",
		"instance/service-accounts/default/aliases default\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %q in:\n%s", line, text)
		}
	}
	if strings.Contains(text, "forwarded-ips") || strings.Contains(text, "sessions") {
		t.Errorf("empty lists and directories have no line:\n%s", text)
	}
}

// Users' names keep their spelling.
func TestChosenNames(t *testing.T) {
	t.Parallel()
	tree := treeOf(t, `{"instance":{"attributes":{"kubeEnv":"a","foo-bar":"b"},"guestAttributes":{"hostKeys":{"sshRsa":"c"}},
		"partnerAttributes":{"iam.googleapis.com":{"workloadIdentity":"d"}},"serviceAccounts":{"fooBar@x":{"email":"fooBar@x"}}},
		"project":{"attributes":{"sshKeys":"e"}}}`)
	for path, want := range map[string]string{
		"instance/attributes/kubeEnv": "a", "instance/attributes/foo-bar": "b", "instance/guest-attributes/hostKeys/sshRsa": "c",
		"instance/partner-attributes/iam.googleapis.com/workloadIdentity": "d",
		"instance/service-accounts/fooBar@x/email":                        "fooBar@x", "project/attributes/sshKeys": "e",
	} {
		if found, ok := tree.find(strings.Split(path, "/")...); !ok || found.text != want {
			t.Errorf("no %q at %s", want, path)
		}
	}
}

func TestETags(t *testing.T) {
	t.Parallel()
	tree := treeOf(t, recorded)
	project, _ := tree.find("project")
	if project.listing().etag == project.document().json.etag {
		t.Error("a listing and the recursive form have the same ETag")
	}
	if again, _ := treeOf(t, recorded).find("project"); again.document().json.etag != project.document().json.etag {
		t.Error("the same content has different ETags")
	}
	changed, _ := treeOf(t, strings.Replace(recorded, "acme-eng", "acme-dev", 2)).find("project")
	if changed.document().json.etag == project.document().json.etag || changed.listing().etag != project.listing().etag {
		t.Error("the recursive form's ETag depends on values, the listing's on names")
	}
}

// In any document, listed entries can be read at the listed path, and the recursive form holds
// the values of the leaves.
func TestListedIsReadable(t *testing.T) {
	t.Parallel()
	check := func(attributes map[string]string, number uint64, items []string, many uint8) bool {
		list := make([]any, 0, many)
		for i := range many % 20 {
			list = append(list, map[string]any{"index": json.Number(strconv.Itoa(int(i))), "ip": "x"})
		}
		chosen := map[string]any{}
		for name, value := range attributes {
			if fixtures.IsEntryName(name) { // as fixtures demand
				chosen[name] = value
			}
		}
		texts := make([]any, len(items))
		for i, item := range items {
			texts[i] = item
		}
		root := build(&world.Instance{Metadata: map[string]any{"instance": map[string]any{
			"attributes": chosen, "id": json.Number(strconv.FormatUint(number, 10)), "tags": texts, "networkInterfaces": list, "ipAliases": texts,
		}}}, nil)
		return walk(t, root, root, "")
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 200}); err != nil {
		t.Error(err)
	}
	walk(t, build(&world.Instance{Metadata: treeDocument(t)}, nil), nil, "")
}

// The same is true for every kind of workload, with all possible entries.
func TestEveryProfileIsReadable(t *testing.T) {
	t.Parallel()
	for _, instance := range worldtest.Load(t, fixtures.Files{Fixture: "../testdata/fixture.yaml"}).Instances {
		walk(t, build(instance, nil), nil, "")
	}
}

func treeDocument(t *testing.T) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(recorded), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// walk follows the listings down from n and looks every entry up from the root.
func walk(t *testing.T, root, n *node, path string) bool {
	t.Helper()
	if n == nil {
		n = root
	}
	ok := true
	for line := range strings.Lines(n.listing().Body) {
		name, isDirectory := strings.CutSuffix(strings.TrimSuffix(line, "\n"), "/")
		below := path + "/" + name
		if isDirectory {
			below += "/"
		}
		found, exists := lookUp(root, below)
		if !exists {
			t.Errorf("%q is listed and cannot be read", below)
			ok = false
			continue
		}
		if (found.kind == directory) != isDirectory {
			t.Errorf("%q is listed as something else", below)
			ok = false
		}
		if found.kind == directory {
			ok = walk(t, root, found, strings.TrimSuffix(below, "/")) && ok
		} else if found.kind == leaf && !json.Valid([]byte(found.render(&query{form: jsonForm}).Body)) {
			t.Errorf("%q is not JSON: %s", below, found.render(&query{form: jsonForm}).Body)
			ok = false
		}
	}
	if !json.Valid([]byte(n.document().json.Body)) {
		t.Errorf("%q is not JSON: %s", path, n.document().json.Body)
		ok = false
	}
	return ok
}

func TestIsTrue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"true": true, "True": true, "TRUE": true, "on": true, "yes": true, "1": true, "true/": false,
		"": false, "false": false, "0": false, "no": false, "xyz": false, "truee": false,
	} {
		if isTrue(text) != want {
			t.Errorf("isTrue(%q) = %v", text, !want)
		}
	}
}

func parsed(rawQuery string) (q query) {
	q.parse(rawQuery)
	return q
}

func TestParseQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]query{
		"": {},
		"recursive=true&alt=json&wait_for_change=True&last_etag=0&timeout_sec=60": {
			recursive: true, form: jsonForm, wait: true, lastETag: "0", timeout: time.Minute,
		},
		"alt=text&alt=json": {form: textForm}, // the first counts
		"alt=xml&timeout_sec=soon&timeout_sec=-1&foo=bar&&=": {},
		"timeout_sec=99999999999999999999":                   {},
		"audience=https://a/b?c=d&format=full&licenses=TRUE": {audience: "https://a/b?c=d", format: "full", licenses: true},
		"audience=https%3A%2F%2Fa%2Fb+c":                     {audience: "https://a/b c"},
		"audience=%zz&audience=b":                            {audience: "b"}, // what cannot be read is not there
		"%72ecursive=true&%zz=1&al%74=text":                  {recursive: true, form: textForm},
		"recursive=true/&wait_for_change=1/":                 {recursive: true, wait: true}, // as one client sends it
	} {
		if diff := cmp.Diff(want, parsed(raw), cmp.AllowUnexported(query{})); diff != "" {
			t.Errorf("parse(%q) (-want +got):\n%s", raw, diff)
		}
	}
}

func FuzzLookUp(f *testing.F) {
	f.Add("/computeMetadata/v1/instance/", "recursive=true&alt=json")
	f.Add("//computeMetadata//v1/project/project-id", "wait_for_change=1&timeout_sec=9999999999999")
	root := build(&world.Instance{Metadata: map[string]any{"instance": map[string]any{"tags": []any{"a"}}}}, nil)
	f.Fuzz(func(t *testing.T, path, rawQuery string) {
		q := parsed(rawQuery)
		if found, ok := lookUp(root, path); ok && !found.isEndpoint() && found.render(&q).etag == "" {
			t.Errorf("%q?%q is not rendered", path, rawQuery)
		}
	})
}

// A leaf costs the same in a tree of any size.
func BenchmarkLeaf(b *testing.B) {
	for _, size := range []int{1, 100, 10_000, 100_000} {
		attributes := map[string]any{}
		for i := range size {
			attributes[fmt.Sprintf("key-%d", i)] = "value"
		}
		root := build(&world.Instance{Metadata: map[string]any{"instance": map[string]any{"attributes": attributes}}}, nil)
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				found, ok := lookUp(root, "/computeMetadata/v1/instance/attributes/key-0")
				if !ok {
					b.Fatal("not found")
				}
				found.render(&query{})
			}
		})
	}
}
