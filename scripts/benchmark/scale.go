package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gcp-metadata-emulator/scripts/benchmark/load"
	"gcp-metadata-emulator/scripts/benchmark/ratio"
)

// soon limits the loading time of a large world.
const soon = time.Second

// scale is one row of the table of large worlds.
type scale struct {
	name  string
	value string        // the path of the requested entry
	flag  string        // the flag for the file
	file  func() string // returns the content of the file
}

func scales() []scale {
	const one, hundred, tenThousand, attributes = 1, 100, 10_000, 100_000
	return []scale{
		{"1 instance and account", "instance/name", "--fixture", func() string { return instances(one) }},
		{"100 instances and accounts", "instance/name", "--fixture", func() string { return instances(hundred) }},
		{"10,000 instances and accounts", "instance/name", "--fixture", func() string { return instances(tenThousand) }},
		{"100,000 attributes", "instance/attributes/key-77777", "--metadata", func() string { return attributed(attributes) }},
	}
}

// instances returns a fixture of n instances, each with its own account.
func instances(n int) string {
	var accounts, machines strings.Builder
	for i := range n {
		email := fmt.Sprintf("account-%d@demo-project.iam.gserviceaccount.com", i)
		fmt.Fprintf(&accounts, "  - {email: %s}\n", email)
		fmt.Fprintf(&machines, "  - name: vm-%d\n    serviceAccounts: [{email: %s, aliases: [default]}]\n", i, email)
	}
	return "serviceAccounts:\n" + accounts.String() + "instances:\n" + machines.String()
}

// attributed returns a recording of one instance with n attributes. Fixtures cannot have so
// many, because Google's limits apply to them.
func attributed(n int) string {
	attributes := make([]string, n)
	for i := range n {
		attributes[i] = fmt.Sprintf(`"key-%d":"value-%d"`, i, i)
	}
	const account = `{"aliases":["default"],"email":"account-0@demo-project.iam.gserviceaccount.com","scopes":["https://www.googleapis.com/auth/cloud-platform"]}`
	return `{"instance":{"attributes":{` + strings.Join(attributes, ",") + `},"name":"vm-0","serviceAccounts":{"default":` + account + `},` +
		`"zone":"projects/123456789012/zones/us-central1-a"},"project":{"numericProjectId":123456789012,"projectId":"demo-project"}}`
}

// scale compares emulators of large worlds with an emulator of the smallest world.
func (b *bench) scale(ctx context.Context) (table, error) {
	t := table{
		intro: fmt.Sprintf("Emulators of large worlds ÷ the first: the cold start to the first byte of a value, median of %d; "+
			"requests/s of a value and of a cached access token, median (lowest–highest) of %d rounds.", b.loads(), b.rounds),
		header: []string{"world", "cold start", "loaded within 1 s", "a value", "an access token"},
	}
	if !b.only.MatchString("scale") {
		return t, nil
	}
	var smallest *world
	for _, s := range scales() {
		b.say("scale: %s", s.name)
		w, err := b.load(ctx, s)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", s.name, err)
		}
		defer w.emulator.stop()
		if smallest == nil {
			smallest = w
			continue
		}
		row, err := b.compareWorlds(ctx, w, smallest)
		if err != nil {
			return table{}, fmt.Errorf("%q: %w", s.name, err)
		}
		w.emulator.stop()
		b.say("    %s", strings.Join(row[1:], "  "))
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// loads returns the number of loads per world.
func (b *bench) loads() int {
	const most = 5 // large worlds take long to load
	return min(b.starts, most)
}

// world is an emulator of a world, with its loading time.
type world struct {
	scale

	emulator *process
	start    time.Duration // median
}

// load starts an emulator of a world several times, and leaves the last one running.
func (b *bench) load(ctx context.Context, s scale) (*world, error) {
	const private = 0o600
	file := filepath.Join(b.dir, "world")
	if err := os.WriteFile(file, []byte(s.file()), private); err != nil {
		return nil, err
	}
	w := &world{scale: s}
	var starts []float64
	for range b.loads() {
		if w.emulator != nil {
			w.emulator.stop()
		}
		var err error
		if w.emulator, err = b.serve(ctx, b.emulator, filepath.Join(b.dir, "state"), s.flag, file); err != nil {
			return nil, err
		}
		took, err := w.emulator.firstAnswer(ctx, metadata("/computeMetadata/v1/"+s.value))
		if err != nil {
			w.emulator.stop()
			return nil, err
		}
		starts = append(starts, float64(took))
	}
	w.start = time.Duration(ratio.Median(starts))
	return w, nil
}

// compareWorlds measures one row.
func (b *bench) compareWorlds(ctx context.Context, large, small *world) ([]string, error) {
	within := "yes"
	if large.start-small.start > soon {
		within = "no"
	}
	row := []string{large.name, fmt.Sprintf("%.1f", float64(large.start)/float64(small.start)), within}
	for _, requests := range [][2]load.Request{
		{metadata("/computeMetadata/v1/" + large.value), metadata("/computeMetadata/v1/" + small.value)},
		{accessTokenRequest(), accessTokenRequest()},
	} {
		rates, err := b.compareRates(ctx, b.newSubject("the large world", large.emulator, requests[0].Compile(large.emulator.addr)), b.newSubject("the small world", small.emulator, requests[1].Compile(small.emulator.addr)))
		if err != nil {
			return nil, err
		}
		row = append(row, rates.String())
	}
	return row, nil
}

// compareRates loads two servers in turn.
func (b *bench) compareRates(ctx context.Context, one, other *subject) (ratio.Summary, error) {
	if err := b.round(ctx, []*subject{one, other}, b.duration); err != nil { // warms both up
		return ratio.Summary{}, err
	}
	one.forget()
	other.forget()
	for range b.rounds {
		if err := b.round(ctx, []*subject{one, other}, b.duration); err != nil {
			return ratio.Summary{}, err
		}
	}
	return ratio.Of(one.rates, other.rates), nil
}
