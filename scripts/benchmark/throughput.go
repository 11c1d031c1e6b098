package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// throughput loads the emulator and a reference server in turn, and the earlier emulator if there is one,
// for every operation.
func (b *bench) throughput(ctx context.Context, emulator *process) (table, error) {
	t := table{
		intro: fmt.Sprintf("Emulator ÷ reference, median (lowest–highest) of %d rounds with %d connections: more requests per second are "+
			"better, and less latency. CPU time per request is the other way round: the reference's or the earlier emulator's ÷ the "+
			"emulator's, so that more is better. Allocations per request are net/http's and the emulator's own; the part around "+
			"the handler is everything of the emulator except the handler of the surface.", b.rounds, b.connections),
		header: []string{
			"operation", "compared with", "requests/s", "p50 latency", "p99 latency", "CPU time, reference ÷ emulator",
			"CPU time, earlier ÷ emulator", "allocations, and the reference's", "allocations around the handler", "CPU time around the handler",
		},
	}
	earlier, err := b.startEarlier(ctx)
	if err != nil {
		return table{}, err
	}
	if earlier != nil {
		defer earlier.stop()
	}
	parts, err := b.parts(ctx)
	if err != nil {
		return table{}, err
	}
	for _, o := range operations() {
		if !b.only.MatchString(o.name) {
			continue
		}
		b.say("%s", o.name)
		row, err := b.compare(ctx, emulator, earlier, o)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", o.name, err)
		}
		row.around = parts[o.name]
		b.say("    %s", strings.Join(row.cells()[2:], "  "))
		t.rows = append(t.rows, row.cells())
	}
	for name, measure := range map[string]func(context.Context, *process) (row, error){inGRPC: b.grpcSigning, proxied: b.proxied} {
		if !b.only.MatchString(name) {
			continue
		}
		b.say("%s", name)
		row, err := measure(ctx, emulator)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", name, err)
		}
		t.rows = append(t.rows, row.cells())
	}
	return t, nil
}

// startEarlier starts the earlier emulator, or returns nil if there is none.
func (b *bench) startEarlier(ctx context.Context) (*process, error) {
	if b.earlier == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	earlier, err := b.startEmulator(ctx, b.earlier, "earlier")
	if err != nil {
		return nil, fmt.Errorf("the earlier emulator: %w", err)
	}
	return earlier, nil
}

// row is one row of the table, with servers that have been loaded.
type row struct {
	name, against string
	ours, theirs  *subject
	earlier       *subject // nil if there is none
	around        part
}

// cells returns the row's text.
func (r row) cells() []string {
	earlier := ""
	if r.earlier != nil {
		earlier = comparison(r.earlier.cpus, r.ours.cpus)
	}
	around := r.around
	if perRequest := ratio.Median(r.ours.cpus); around.known && perRequest > 0 {
		around.share = fmt.Sprintf("%.1f %%", 100*around.cpu/perRequest)
	}
	return []string{
		r.name, r.against,
		ratio.Of(r.ours.rates, r.theirs.rates).String(), ratio.Of(r.ours.p50s, r.theirs.p50s).String(), ratio.Of(r.ours.p99s, r.theirs.p99s).String(),
		comparison(r.theirs.cpus, r.ours.cpus), earlier,
		allocations(r.ours, r.theirs), around.allocations, around.share,
	}
}

// compare measures one row against the operation's bare server and the earlier emulator, which may be nil.
func (b *bench) compare(ctx context.Context, emulator, earlier *process, o operation) (row, error) {
	request, err := resolve(ctx, emulator, o.request)
	if err != nil {
		return row{}, err
	}
	answer, err := emulator.once(ctx, request)
	if err != nil {
		return row{}, fmt.Errorf("the emulator: %w", err)
	}
	server, err := b.refer(ctx, o.against, answer)
	if err != nil {
		return row{}, err
	}
	defer server.stop()
	if _, err := server.once(ctx, request); err != nil {
		return row{}, fmt.Errorf("the reference server: %w", err)
	}
	measured := row{
		name: o.name, against: o.against.String(),
		ours:   b.newSubject("the emulator", emulator, request.Compile(emulator.addr)),
		theirs: b.newSubject("the reference server", server, request.Compile(server.addr)),
	}
	if earlier != nil {
		same, err := resolve(ctx, earlier, o.request)
		if err != nil {
			return row{}, fmt.Errorf("the earlier emulator: %w", err)
		}
		measured.earlier = b.newSubject("the earlier emulator", earlier, same.Compile(earlier.addr))
	}
	return measured, b.contest(ctx, measured)
}

// contest loads the servers of a row in turn.
func (b *bench) contest(ctx context.Context, r row) error {
	subjects := []*subject{r.ours, r.theirs}
	if r.earlier != nil {
		subjects = append(subjects, r.earlier)
	}
	// A short round warms the servers up; its results do not count.
	if err := b.round(ctx, subjects, b.duration/5); err != nil {
		return err
	}
	for _, s := range subjects {
		s.forget()
	}
	for range b.rounds {
		if err := b.round(ctx, subjects, b.duration); err != nil {
			return err
		}
	}
	return nil
}

// round loads servers for the given duration, and adds a measurement to each. The servers take turns in
// short slices, so that other activity on the machine slows all of them.
func (b *bench) round(ctx context.Context, subjects []*subject, duration time.Duration) error {
	const slice = 100 * time.Millisecond
	results, spent, allocated := map[*subject]*load.Result{}, map[*subject]time.Duration{}, map[*subject]float64{}
	runs := map[*subject]loader{}
	for _, s := range subjects {
		results[s], allocated[s] = &load.Result{}, -s.allocated(ctx)
		run, closeAll, err := s.open(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer closeAll()
		runs[s] = run
	}
	for left, first := duration, 0; left > 0; left, first = left-slice, first+1 {
		for i := range subjects {
			s := subjects[(first+i)%len(subjects)] // no server is always the first after a pause
			result, cpu, err := s.turn(ctx, runs[s], b.limits(min(left, slice)))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			results[s].Add(result)
			spent[s] += cpu
		}
	}
	for s, result := range results {
		if result.Latencies.Count() == 0 {
			return fmt.Errorf("%s: answered nothing in time", s.name)
		}
		s.record(result, spent[s], allocated[s]+s.allocated(ctx))
	}
	return nil
}

// limits returns the limits of one run. The duration normally ends a run; the number of
// requests is a safeguard.
func (b *bench) limits(duration time.Duration) load.Limits {
	const most = 1_000_000 // more than a server answers in a slice
	return load.Limits{
		Connections: b.connections,
		Duration:    duration,
		Requests:    most,
	}
}

// resolve replaces the placeholder in the request by an access token of the emulator.
func resolve(ctx context.Context, emulator *process, request load.Request) (load.Request, error) {
	needs := func(text string) bool { return strings.Contains(text, accessToken) }
	if !needs(request.Target) && !slices.ContainsFunc(request.Header, needs) {
		return request, nil
	}
	answer, err := emulator.once(ctx, accessTokenRequest())
	if err != nil {
		return request, fmt.Errorf("cannot get an access token: the emulator: %w", err)
	}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.Body, &issued); err != nil {
		return request, fmt.Errorf("cannot get an access token: %w", err)
	}
	request.Target = strings.ReplaceAll(request.Target, accessToken, url.QueryEscape(issued.AccessToken))
	header := slices.Clone(request.Header)
	for i, field := range header {
		header[i] = strings.ReplaceAll(field, accessToken, issued.AccessToken)
	}
	request.Header = header
	return request, nil
}

// subject is a server under load, with the measurements of each round.
type subject struct {
	name    string
	server  *process
	counted bool                                              // the server counts its allocations over HTTP
	open    func(ctx context.Context) (loader, func(), error) // opens the connections of a round

	rates, p50s, p99s, cpus, allocations []float64
}

func (b *bench) newSubject(name string, server *process, template *load.Template) *subject {
	return &subject{name: name, server: server, counted: true, open: func(ctx context.Context) (loader, func(), error) {
		return server.open(ctx, template, b.connections)
	}}
}

// turn loads the server once, and returns the CPU time that the server has used meanwhile.
func (s *subject) turn(ctx context.Context, run loader, limits load.Limits) (*load.Result, time.Duration, error) {
	before, err := s.server.cpu()
	if err != nil {
		return nil, 0, err
	}
	result, err := run(ctx, limits)
	if err != nil {
		return nil, 0, err
	}
	after, err := s.server.cpu()
	return result, after - before, err
}

// record adds the measurements of a round.
func (s *subject) record(result *load.Result, cpu time.Duration, allocated float64) {
	s.rates = append(s.rates, result.Rate())
	s.p50s = append(s.p50s, milliseconds(result.Latencies.Quantile(0.50)))
	s.p99s = append(s.p99s, milliseconds(result.Latencies.Quantile(0.99)))
	s.cpus = append(s.cpus, milliseconds(cpu)/float64(result.Latencies.Count()))
	s.allocations = append(s.allocations, allocated/float64(result.Latencies.Count()))
}

// forget drops all measurements.
func (s *subject) forget() {
	s.rates, s.p50s, s.p99s, s.cpus, s.allocations = nil, nil, nil, nil, nil
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}
