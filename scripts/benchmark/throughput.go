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

// throughput loads the emulator and a reference server in turn, for every operation.
func (b *bench) throughput(ctx context.Context, emulator *process) (table, error) {
	t := table{
		intro: fmt.Sprintf("Emulator ÷ reference, median (lowest–highest) of %d rounds with %d connections. "+
			"More requests per second are better, and less latency and CPU time.", b.rounds, b.connections),
		header: []string{"operation", "compared with", "requests/s", "p50 latency", "p99 latency", "CPU time per request"},
	}
	for _, o := range operations() {
		if !b.only.MatchString(o.name) {
			continue
		}
		b.say("%s", o.name)
		row, err := b.compare(ctx, emulator, o)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", o.name, err)
		}
		b.say("    %s", strings.Join(row[2:], "  "))
		t.rows = append(t.rows, row)
	}
	for name, measure := range map[string]func(context.Context, *process) ([]string, error){inGRPC: b.grpcSigning, proxied: b.proxied} {
		if b.earlier != "" || !b.only.MatchString(name) {
			continue
		}
		b.say("%s", name)
		row, err := measure(ctx, emulator)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", name, err)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// compare measures one row against the earlier emulator, or against the operation's bare server.
func (b *bench) compare(ctx context.Context, emulator *process, o operation) ([]string, error) {
	request, err := resolve(ctx, emulator, o.request)
	if err != nil {
		return nil, err
	}
	if b.earlier != "" {
		return b.compareVersions(ctx, emulator, o, request)
	}
	answer, err := emulator.once(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("the emulator: %w", err)
	}
	server, err := b.refer(ctx, o.against, answer)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	if _, err := server.once(ctx, request); err != nil {
		return nil, fmt.Errorf("the reference server: %w", err)
	}

	row := []string{o.name, o.against.String()}
	return b.contest(ctx, row, newSubject("the emulator", emulator, request.Compile(emulator.addr)),
		newSubject("the reference server", server, request.Compile(server.addr)))
}

// compareVersions measures one row against the earlier emulator.
func (b *bench) compareVersions(ctx context.Context, emulator *process, o operation, request load.Request) ([]string, error) {
	earlier, err := b.startEmulator(ctx, b.earlier, "earlier")
	if err != nil {
		return nil, fmt.Errorf("the earlier emulator: %w", err)
	}
	defer earlier.stop()
	same, err := resolve(ctx, earlier, o.request)
	if err != nil {
		return nil, err
	}
	return b.contest(ctx, []string{o.name, "the earlier emulator"}, newSubject("the emulator", emulator, request.Compile(emulator.addr)),
		newSubject("the earlier emulator", earlier, same.Compile(earlier.addr)))
}

// contest loads two servers in turn and completes a row.
func (b *bench) contest(ctx context.Context, row []string, ours, theirs *subject) ([]string, error) {
	// A short round warms both servers up; its results do not count.
	if err := b.round(ctx, ours, theirs, b.duration/5); err != nil {
		return nil, err
	}
	ours.forget()
	theirs.forget()
	for range b.rounds {
		if err := b.round(ctx, ours, theirs, b.duration); err != nil {
			return nil, err
		}
	}
	return append(row,
		ratio.Of(ours.rates, theirs.rates).String(),
		ratio.Of(ours.p50s, theirs.p50s).String(),
		ratio.Of(ours.p99s, theirs.p99s).String(),
		cpuRatio(ours, theirs),
	), nil
}

// round loads two servers for the given duration, and adds a measurement to each. The servers
// take turns in short slices, so that other activity on the machine slows both.
func (b *bench) round(ctx context.Context, ours, theirs *subject, duration time.Duration) error {
	const slice = 100 * time.Millisecond
	both, spent := map[*subject]*load.Result{ours: {}, theirs: {}}, map[*subject]time.Duration{}
	for left := duration; left > 0; left -= slice {
		for _, s := range []*subject{ours, theirs} {
			result, cpu, err := s.turn(ctx, b.limits(min(left, slice)))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			both[s].Add(result)
			spent[s] += cpu
		}
	}
	for s, result := range both {
		if result.Latencies.Count() == 0 {
			return fmt.Errorf("%s: answered nothing in time", s.name)
		}
		s.record(result, spent[s])
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
	name   string
	server *process
	run    func(ctx context.Context, limits load.Limits) (*load.Result, error)

	rates, p50s, p99s, cpus []float64
}

func newSubject(name string, server *process, template *load.Template) *subject {
	return &subject{name: name, server: server, run: func(ctx context.Context, limits load.Limits) (*load.Result, error) {
		return server.load(ctx, template, limits)
	}}
}

// turn loads the server once, and returns the CPU time that the server has used meanwhile.
func (s *subject) turn(ctx context.Context, limits load.Limits) (*load.Result, time.Duration, error) {
	before, err := s.server.cpu()
	if err != nil {
		return nil, 0, err
	}
	result, err := s.run(ctx, limits)
	if err != nil {
		return nil, 0, err
	}
	after, err := s.server.cpu()
	return result, after - before, err
}

// record adds the measurements of a round.
func (s *subject) record(result *load.Result, cpu time.Duration) {
	s.rates = append(s.rates, result.Rate())
	s.p50s = append(s.p50s, milliseconds(result.Latencies.Quantile(0.50)))
	s.p99s = append(s.p99s, milliseconds(result.Latencies.Quantile(0.99)))
	s.cpus = append(s.cpus, milliseconds(cpu)/float64(result.Latencies.Count()))
}

// forget drops all measurements.
func (s *subject) forget() {
	s.rates, s.p50s, s.p99s, s.cpus = nil, nil, nil, nil
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}
