package conformance_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/conformance"
)

// node is any element of XML.
type node struct {
	XMLName    xml.Name
	Attributes []xml.Attr `xml:",any,attr"`
	Text       string     `xml:",chardata"`
	Children   []node     `xml:",any"`
}

func (n node) attribute(name string) string {
	for _, one := range n.Attributes {
		if one.Name.Local == name {
			return one.Value
		}
	}
	return ""
}

// element says what an element of JUnit's XML can have, as in the schema of Jenkins' plugin for it, without
// what the reports never have.
type element struct {
	attributes map[string]string // patterns of their values
	children   []string          // in this order
}

func schema() map[string]element {
	const some, number, decimal = `.+`, `[0-9]+`, `[0-9]+(\.[0-9]+)?`
	totals := map[string]string{"name": some, "tests": number, "failures": number, "time": decimal}
	return map[string]element{
		"testsuites": {totals, []string{"testsuite"}},
		"testsuite":  {totals, []string{"testcase"}},
		"testcase":   {map[string]string{"classname": some, "name": some, "time": decimal}, []string{"failure", "system-out"}},
		"failure":    {map[string]string{"message": some, "type": some}, nil},
		"system-out": {nil, nil},
	}
}

// check reports where a node does not follow the schema.
func (n node) check(t *testing.T) {
	t.Helper()
	known, ok := schema()[n.XMLName.Local]
	if !ok || n.XMLName.Space != "" {
		t.Errorf("the schema has no element %v", n.XMLName)
		return
	}
	for _, one := range n.Attributes {
		if _, ok := known.attributes[one.Name.Local]; !ok {
			t.Errorf("%s: the schema has no attribute %v", n.XMLName.Local, one.Name)
		}
	}
	for name, pattern := range known.attributes {
		if !regexp.MustCompile(`^(?s:` + pattern + `)$`).MatchString(n.attribute(name)) {
			t.Errorf("%s: %s is %q", n.XMLName.Local, name, n.attribute(name))
		}
	}
	last := 0
	for _, child := range n.Children {
		at := slices.Index(known.children, child.XMLName.Local)
		if at < last {
			t.Errorf("%s: a %s is at the wrong place", n.XMLName.Local, child.XMLName.Local)
		}
		last = at
		child.check(t)
	}
}

// parsed returns the root of a document that is well-formed and has nothing after the root.
func parsed(t *testing.T, text string) node {
	t.Helper()
	var root node
	decoder := xml.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&root); err != nil { //nolint:musttag // without a tag, XMLName is any name
		t.Fatalf("%v in\n%s", err, text)
	}
	for {
		switch token, err := decoder.Token(); {
		case errors.Is(err, io.EOF):
			return root
		case err != nil:
			t.Fatal(err)
		default:
			if rest, ok := token.(xml.CharData); !ok || strings.TrimSpace(string(rest)) != "" {
				t.Fatalf("%v follows the root", token)
			}
		}
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	if err := conformance.WriteJUnit(&text, twoResults()); err != nil {
		t.Fatal(err)
	}
	root := parsed(t, text.String())
	root.check(t)
	suite := root.Children[0]
	for _, of := range []node{root, suite} {
		got := []string{of.attribute("name"), of.attribute("tests"), of.attribute("failures"), of.attribute("time")}
		if diff := cmp.Diff([]string{"conformance", "2", "1", "1.250"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", of.XMLName.Local, diff)
		}
	}
	good, bad := suite.Children[0], suite.Children[1]
	if len(good.Children) != 1 || good.Children[0].Text != "everything is as usual\nrequests: mds.token" || good.attribute("time") != "1.250" {
		t.Errorf("the good case is %+v", good)
	}
	failure := bad.Children[0]
	if want := "it ended with status 1 and should succeed: Google says to retry a 503; it printed a token (ya29.c.abcde…), which logs would keep"; failure.attribute("message") != want {
		t.Errorf("the message is %q, want %q", failure.attribute("message"), want)
	}
	// XML has no form for control characters and for bytes that are not UTF-8.
	if want := "first\uFFFD\uFFFD[31m<red> & \"quoted\"\uFFFD]]>\ttoken ya29.c.abcde…\nlast"; failure.Text != want {
		t.Errorf("the output is %q, want %q", failure.Text, want)
	}
	if failure.XMLName.Local != "failure" || bad.attribute("name") != "unavailable-twice" {
		t.Errorf("the bad case is %+v", bad)
	}
}
