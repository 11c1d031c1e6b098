// Package metrics measures requests, and writes the measurements in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format) together with
// the state of the Go runtime and of the process.
//
// The labels are the names of routes and the classes of statuses, so the number of time series is
// bounded for any requests. Other packages register their own gauges.
package metrics

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

const namespace = "gcp_metadata_emulator"

// ContentType is the content type of Text.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Requests measures requests by their routes. It is safe for concurrent use, and Observe takes no
// lock.
type Requests struct {
	registry *prometheus.Registry
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	faults   *prometheus.CounterVec
	refusals *prometheus.CounterVec
	reasons  reasons
	routes   map[string]*route
	further  further

	// runtime registers the collectors that describe the process. It runs before the first text is
	// written: most emulators are never scraped, and start faster without it.
	runtime sync.Once
}

// route has the time series of one route by class of status: the first digit of a status, or 0 if
// there was no answer. A series exists from its first request on.
type route [6]atomic.Pointer[series]

type series struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

// buckets are the upper bounds of latencies in seconds. A metadata value takes some 10 µs, a signature
// about a millisecond, and a request that waits for a change may take minutes.
func buckets() []float64 {
	return []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 1, 10, 60}
}

// NewRequests returns measurements of the named routes. It ignores requests to other routes.
func NewRequests(routes []string) *Requests {
	labels := []string{"route", "status"}
	r := &Requests{
		registry: prometheus.NewRegistry(),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "requests_total", Help: "Requests answered, by route and class of status.",
		}, labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "request_duration_seconds", Help: "Time until the answer was ready.", Buckets: buckets(),
		}, labels),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "faults_total", Help: "Requests that met a fault.",
		}, labels[:1]),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "refusals_total", Help: "Requests that were refused, or would have been if policies were enforced, by reason and outcome.",
		}, []string{"reason", "outcome"}),
		routes: make(map[string]*route, len(routes)),
	}
	for _, name := range routes {
		r.routes[name] = &route{}
	}
	r.registry.MustRegister(r.total, r.duration, r.faults, r.refusals)
	return r
}

// Observe measures a request to a route. If there was no answer, the status is 0.
func (r *Requests) Observe(name string, status int, took time.Duration) {
	known := r.route(name)
	if known == nil {
		return
	}
	const hundred = 100
	class := min(max(status/hundred, 0), len(known)-1)
	of := known[class].Load()
	if of == nil {
		of = &series{r.total.WithLabelValues(name, className(class)), r.duration.WithLabelValues(name, className(class))}
		known[class].Store(of) // a concurrent request stores the same two series
	}
	of.total.Inc()
	of.duration.Observe(took.Seconds())
}

// ObserveFault counts a request to a route that met a fault.
func (r *Requests) ObserveFault(name string) {
	if r.route(name) != nil {
		r.faults.WithLabelValues(name).Inc()
	}
}

// maxFurther limits the number of routes that come and go.
const maxFurther = 256

// further are routes that come and go, by name.
type further struct {
	routes sync.Map
	count  atomic.Int64
}

// Also measures requests to a further route. It ignores the route if there are too many.
func (r *Requests) Also(name string) {
	if _, known := r.further.routes.Load(name); known || r.further.count.Load() >= maxFurther {
		return
	}
	if _, known := r.further.routes.LoadOrStore(name, &route{}); !known {
		r.further.count.Add(1)
	}
}

// route returns the series of a route, or nil if it is not measured.
func (r *Requests) route(name string) *route {
	if known := r.routes[name]; known != nil {
		return known
	}
	found, _ := r.further.routes.Load(name)
	known, _ := found.(*route)
	return known
}

func className(class int) string {
	if class == 0 {
		return "none"
	}
	return strconv.Itoa(class) + "xx"
}

// Reading is a gauge that a part of the emulator has.
type Reading struct {
	Name, Help string
	Value      func() float64
}

// Gauge adds a gauge. Its value is read whenever a text is written. Two gauges cannot have the same
// name.
func (r *Requests) Gauge(name, help string, value func() float64) {
	r.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
}

// Text returns all measurements, without metrics whose time series do not exist yet.
func (r *Requests) Text() (string, error) {
	r.runtime.Do(func() {
		r.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	})
	families, err := r.registry.Gather()
	if err != nil {
		return "", fmt.Errorf("gather metrics: %w", err)
	}
	var text strings.Builder
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return "", fmt.Errorf("write metric %q: %w", family.GetName(), err)
		}
	}
	return text.String(), nil
}
