// Package metrics counts requests, and writes counts in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
//
// The labels are the names of routes and classes of statuses, so that their number is bounded
// whatever is asked. The format is a few lines; the client library for it would make an idle
// emulator a sixth larger.
package metrics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Kind is the type of a family.
type Kind string

// The kinds that are used.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
	Summary Kind = "summary"
)

// Family is a metric with all its samples.
type Family struct {
	Name, Help string
	Kind       Kind
	Samples    []Sample
}

// Sample is one value of a metric.
type Sample struct {
	Suffix string   // of the family's name, for a summary
	Labels []string // name, value, name, value …
	Value  float64
}

// Single is a family without labels.
func Single(name, help string, kind Kind, value float64) Family {
	return Family{name, help, kind, []Sample{{Value: value}}}
}

// Text writes families, those without samples left out.
func Text(families []Family) string {
	var out strings.Builder
	for _, family := range families {
		if len(family.Samples) == 0 {
			continue
		}
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", family.Name, family.Help, family.Kind)
		for _, sample := range family.Samples {
			out.WriteString(family.Name + sample.Suffix + labels(sample.Labels) + " " + strconv.FormatFloat(sample.Value, 'g', -1, 64) + "\n")
		}
	}
	return out.String()
}

func labels(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	var list []string
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, pair[0]+`="`+escape.Replace(pair[1])+`"`)
	}
	return "{" + strings.Join(list, ",") + "}"
}

// Requests counts requests by their routes. It is safe for concurrent use, and takes no lock.
type Requests struct {
	routes []string
	counts map[string]*counts
}

// counts are those of one route.
type counts struct {
	classes [6]atomic.Uint64 // by the first digit of the status; 0: no answer
	faults  atomic.Uint64
	nanos   atomic.Int64
}

// NewRequests counts those of named routes.
func NewRequests(routes []string) *Requests {
	r := &Requests{routes: routes, counts: make(map[string]*counts, len(routes))}
	for _, route := range routes {
		r.counts[route] = &counts{}
	}
	return r
}

// Observe counts a request to a route. The status is 0 where there was no answer.
func (r *Requests) Observe(route string, status int, took time.Duration) {
	if c := r.counts[route]; c != nil {
		const hundred = 100
		c.classes[min(max(status/hundred, 0), len(c.classes)-1)].Add(1)
		c.nanos.Add(int64(took))
	}
}

// ObserveFault counts a request to a route that met a fault.
func (r *Requests) ObserveFault(route string) {
	if c := r.counts[route]; c != nil {
		c.faults.Add(1)
	}
}

const prefix = "gcp_metadata_emulator_"

// Families are the counts.
func (r *Requests) Families() []Family {
	requests := Family{Name: prefix + "requests_total", Help: "Requests answered, by route and class of status.", Kind: Counter}
	durations := Family{Name: prefix + "request_duration_seconds", Help: "Time until the answer was ready.", Kind: Summary}
	faults := Family{Name: prefix + "faults_total", Help: "Requests that met a fault.", Kind: Counter}
	for _, route := range r.routes {
		c, total := r.counts[route], uint64(0)
		label := []string{"route", route}
		for class := range c.classes {
			count := c.classes[class].Load()
			if total += count; count > 0 {
				requests.Samples = append(requests.Samples, Sample{Labels: append(slices.Clone(label), "status", className(class)), Value: float64(count)})
			}
		}
		if total > 0 {
			durations.Samples = append(durations.Samples,
				Sample{Suffix: "_sum", Labels: label, Value: time.Duration(c.nanos.Load()).Seconds()},
				Sample{Suffix: "_count", Labels: label, Value: float64(total)})
		}
		if met := c.faults.Load(); met > 0 {
			faults.Samples = append(faults.Samples, Sample{Labels: label, Value: float64(met)})
		}
	}
	return []Family{requests, durations, faults}
}

func className(class int) string {
	if class == 0 {
		return "none"
	}
	return strconv.Itoa(class) + "xx"
}
