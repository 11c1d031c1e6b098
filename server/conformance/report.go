package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the results as a table.
func WriteTable(to io.Writer, results []Result) error {
	const gap = 2
	table := tabwriter.NewWriter(to, 0, 0, gap, ' ', 0)
	_, _ = fmt.Fprintln(table, "BEHAVIOUR\tVERDICT\tSTATUS\tREQUESTS\tTOOK\tNOTE")
	for _, r := range results {
		const tenths = 10
		took := fmt.Sprintf("%.1fs", float64(int(r.Observed.Took.Seconds()*tenths))/tenths)
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n", r.Behaviour.Name, r.Verdict, r.Observed.Status, len(r.Observed.Requests), took, strings.Join(r.Grounds, "; "))
	}
	return table.Flush()
}

// The elements of JUnit's XML, as CI systems read it.
type (
	suite struct {
		XMLName  xml.Name `xml:"testsuite"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Cases    []test   `xml:"testcase"`
	}
	test struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Seconds string   `xml:"time,attr"`
		Failure *failure `xml:"failure,omitempty"`
		Output  string   `xml:"system-out,omitempty"`
	}
	failure struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the results in JUnit's XML.
func WriteJUnit(to io.Writer, results []Result) error {
	all := suite{Name: "conformance", Tests: len(results)}
	for _, r := range results {
		one := test{Class: "conformance", Name: r.Behaviour.Name, Seconds: fmt.Sprintf("%.3f", r.Observed.Took.Seconds())}
		one.Output = strings.Join(append([]string{r.Behaviour.Does, "requests: " + strings.Join(r.Observed.Requests, " ")}, r.Grounds...), "\n")
		if r.Verdict == Bad {
			all.Failures++
			one.Failure = &failure{Message: strings.Join(r.Grounds, "; ")}
		}
		all.Cases = append(all.Cases, one)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(to, xml.Header+string(text)+"\n")
	return err
}
