package conformance

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"gcp-metadata-emulator/server/journal"
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

// The elements of JUnit's XML, in the order that Jenkins' schema demands.
type (
	report struct {
		XMLName xml.Name `xml:"testsuites"`
		totals
		Suite suite `xml:"testsuite"`
	}
	suite struct {
		totals
		Cases []test `xml:"testcase"`
	}
	totals struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Seconds  string `xml:"time,attr"`
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
		Type    string `xml:"type,attr"`
		Output  string `xml:",chardata"`
	}
)

// WriteJUnit writes the results in JUnit's XML. A failure has the end of the program's output, without
// tokens.
func WriteJUnit(to io.Writer, results []Result) error {
	all := suite{totals: totals{Name: "conformance", Tests: len(results)}}
	var took time.Duration
	for _, r := range results {
		took += r.Observed.Took
		one := test{Class: "conformance", Name: r.Behaviour.Name, Seconds: seconds(r.Observed.Took)}
		one.Output = strings.Join(append([]string{r.Behaviour.Does, "requests: " + routes(r.Observed.Requests)}, r.Grounds...), "\n")
		if r.Verdict == Bad {
			all.Failures++
			one.Failure = &failure{Message: strings.Join(r.Grounds, "; "), Type: r.Behaviour.Name, Output: lastOf(r.Observed.Output)}
		}
		all.Cases = append(all.Cases, one)
	}
	all.Seconds = seconds(took)
	text, err := xml.MarshalIndent(report{totals: all.totals, Suite: all}, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(to, xml.Header+string(text)+"\n")
	return err
}

// seconds writes a duration as XML's decimal.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// routes names the routes of requests, in order.
func routes(requests []journal.Exchange) string {
	names := make([]string, len(requests))
	for i, e := range requests {
		names[i] = e.Route
	}
	return strings.Join(names, " ")
}

// lastOf returns the end of an output, without tokens.
func lastOf(output string) string {
	const most = 10_000
	output = tokens().ReplaceAllStringFunc(output, shortened)
	return output[max(0, len(output)-most):]
}
