package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// part is the part of a request that stands around the handler of its surface.
type part struct {
	known       bool
	cpu         float64 // in milliseconds
	allocations string
	share       string // of the CPU time of a whole request
}

// parts runs the benchmark of the parts, in the binary of the tests of package server, and returns the
// parts by the names of operations. It returns nothing if there is no such binary.
func (b *bench) parts(ctx context.Context) (map[string]part, error) {
	if b.handlers == "" {
		return nil, nil //nolint:nilnil // an empty map
	}
	b.say("the part around the handler")
	output, err := exec.CommandContext(ctx, b.handlers, "-test.run=^$", "-test.bench=^BenchmarkAround$", "-test.benchtime=20000x").Output()
	if err != nil {
		return nil, fmt.Errorf("the benchmark in %q: %w", b.handlers, err)
	}
	return parseParts(output), nil
}

// parseParts reads lines such as "BenchmarkAround/tokeninfo-2  20000  4000 ns/op  9.0 around-allocs/op  900 around-ns/op".
func parseParts(output []byte) map[string]part {
	parts := map[string]part{}
	for line := range bytes.Lines(output) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		name, isPart := strings.CutPrefix(fields[0], "BenchmarkAround/")
		if at := strings.LastIndexByte(name, '-'); at > 0 {
			name = name[:at] // without the number of processors
		}
		if isPart {
			parts[strings.ReplaceAll(name, "_", " ")] = parsePart(fields[1:])
		}
	}
	return parts
}

// parsePart reads the pairs of a number and its unit.
func parsePart(fields []string) part {
	const perMillisecond = 1e6 // nanoseconds
	read := part{known: true}
	for i := 1; i < len(fields); i++ {
		number, err := strconv.ParseFloat(fields[i-1], 64)
		switch {
		case err != nil:
		case fields[i] == "around-allocs/op":
			read.allocations = fmt.Sprintf("%.1f", number)
		case fields[i] == "around-ns/op":
			read.cpu = number / perMillisecond
		}
	}
	return read
}
