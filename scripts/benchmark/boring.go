package main

import (
	"context"
	"fmt"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// signatures is the name of the row that compares the signatures of two builds.
const signatures = "ID tokens for each second of CPU time, new audience each time"

// boringSignatures compares the build with BoringCrypto with the emulator, which signs with Go's own
// cryptography.
func (b *bench) boringSignatures(ctx context.Context) (table, error) {
	if b.boring == "" || !b.only.MatchString(signatures) {
		return table{}, nil
	}
	b.say("%s", signatures)
	var rates [2][]float64
	var servers [2]*process
	for i, binary := range []string{b.boring, b.emulator} {
		server, err := b.startEmulator(ctx, binary, fmt.Sprintf("signs-%d", i))
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", signatures, err)
		}
		defer server.stop()
		servers[i] = server
	}
	for range b.rounds {
		for i, server := range servers {
			rate, err := b.perCPU(ctx, server)
			if err != nil {
				return table{}, fmt.Errorf("%q: %w", signatures, err)
			}
			rates[i] = append(rates[i], rate)
		}
	}
	figure := unavailable
	if ratio.Median(rates[0]) > 0 && ratio.Median(rates[1]) > 0 {
		figure = ratio.Of(rates[0], rates[1]).String()
	}
	return table{
		intro:  "The build with BoringCrypto (`scripts/build --boring`) ÷ the emulator; more is better.",
		header: []string{"signatures", "ratio"},
		rows:   [][]string{{signatures, figure}},
	}, nil
}

// perCPU returns the number of ID tokens that a server signs for each second of its CPU time, or 0 if the
// system does not give the CPU time.
func (b *bench) perCPU(ctx context.Context, server *process) (float64, error) {
	before, err := server.cpu()
	if err != nil {
		return 0, err
	}
	template := identity("https://boring.example.com/" + load.Counter).Compile(server.addr)
	result, err := server.load(ctx, template, b.limits(b.duration))
	if err != nil {
		return 0, err
	}
	after, err := server.cpu()
	if spent := after - before; err == nil && spent > 0 {
		return float64(result.Latencies.Count()) / (float64(spent) / float64(time.Second)), nil
	}
	return 0, err
}
