package replica_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// part is a replica of a test.
type part struct {
	*replica.Replica

	worlds *store.Store[*world.World]
	link   *recordstest.Replica
}

func join(t *testing.T, memory *recordstest.Memory, yaml string) part {
	t.Helper()
	link := memory.Join()
	joined := replica.New(replica.Config{Store: link, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if _, err := joined.Begin(t.Context(), worldtest.Parse(t, yaml)); err != nil {
		t.Fatal(err)
	}
	worlds := store.NewKept(joined.World(), joined.Worlds)
	joined.Feed(worlds)
	return part{joined, worlds, link}
}

func (p part) set(value string) error {
	return p.worlds.Update(func(w *world.World) (*world.World, error) {
		return w.WithMetadata(w.DefaultInstance(), attribute, value)
	})
}

func (p part) value() any {
	w := p.worlds.Load().State
	value, _ := w.Metadata(w.DefaultInstance(), attribute)
	return value
}

func (p part) text(t *testing.T) string {
	t.Helper()
	text, err := p.worlds.Load().State.Fixture().JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const attribute = "instance/attributes/a"

func TestReplicasHaveOneWorld(t *testing.T) {
	t.Parallel()
	memory := recordstest.New()
	a := join(t, memory, "instances: [{name: vm}, {name: other}]")
	b, c := join(t, memory, "instances: [{name: ignored}]"), join(t, memory, "{}")
	if got := b.worlds.Load().State.DefaultInstance().Name; got != "vm" {
		t.Errorf("the second replica has instance %q", got)
	}
	before := c.worlds.Load()
	untouched := before.State.Instances[1]
	if err := a.set("1"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-before.Changed:
	default:
		t.Error("an edit at one replica does not wake the others")
	}
	if c.worlds.Load().State.Instances[1] != untouched {
		t.Error("an instance that nobody changed was made again")
	}
	for _, one := range []part{a, b, c} {
		if one.value() != "1" || one.text(t) != a.text(t) {
			t.Errorf("a replica has %v and\n%s", one.value(), one.text(t))
		}
	}

	// A replica restores the world that another replica has set.
	if err := b.Restart(worldtest.Parse(t, "instances: [{name: new}]")); err != nil {
		t.Fatal(err)
	}
	if err := c.set("2"); err != nil {
		t.Fatal(err)
	}
	if got := a.Start(); got.DefaultInstance().Name != "new" || a.value() != "2" {
		t.Errorf("the first replica restores %q, and has %v", got.DefaultInstance().Name, a.value())
	}
}

// If several updates have the same version, they happen in turn, and each sees the update before.
func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	memory := recordstest.New()
	parts := []part{join(t, memory, "{}"), join(t, memory, "{}"), join(t, memory, "{}")}
	const each = 20
	var group sync.WaitGroup
	for i, one := range parts {
		for range 2 {
			group.Go(func() {
				for range each {
					if err := one.worlds.Update(func(w *world.World) (*world.World, error) {
						old, _ := w.Metadata(w.DefaultInstance(), attribute)
						text, _ := old.(string)
						return w.WithMetadata(w.DefaultInstance(), attribute, text+string(rune('a'+i)))
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	group.Wait()
	for i, one := range parts {
		text, _ := one.value().(string)
		if got := strings.Count(text, string(rune('a'+i))); got != 2*each || one.value() != parts[0].value() {
			t.Errorf("replica %d has %d of its %d updates, in %q", i, got, 2*each, text)
		}
	}
}

func TestReplicaThatIsCutOff(t *testing.T) {
	t.Parallel()
	memory := recordstest.New()
	a, b := join(t, memory, "{}"), join(t, memory, "{}")
	b.link.Cut()
	if _, lost := errors.AsType[*records.UnreachableError](b.set("b")); !lost {
		t.Error("an edit without the store is not refused")
	}
	for _, value := range []string{"1", "2"} {
		if err := a.set(value); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.value(); got != nil {
		t.Errorf("without the store, the attribute is %v", got)
	}
	b.link.Connect()
	if got := b.value(); got != "2" {
		t.Errorf("with the store again, the attribute is %v", got)
	}
	if err := b.set("3"); err != nil || a.value() != "3" {
		t.Errorf("the first edit afterwards: %v, %v", err, a.value())
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := recordstest.New().Join()
		refuse := func() { link.Refuse(&records.ProblemError{Sentence: "it is full"}) }
		joined := replica.New(replica.Config{Store: link, Timeout: time.Minute, Grace: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		for _, step := range []struct {
			do    func()
			after time.Duration
			want  string
		}{
			{link.Connect, 0, "true "},
			{link.Cut, 2 * time.Second, "true "},
			{link.Cut, 3 * time.Second, "true the store that the replicas share has not answered for 5s; changes are refused"},
			{link.Cut, 6 * time.Second, "false the store that the replicas share has not answered for 11s"},
			{link.Connect, time.Second, "true "},
			{refuse, 3 * time.Second, "true the store that the replicas share cannot be used: it is full; changes are refused"},
			{refuse, 8 * time.Second, "false the store that the replicas share cannot be used: it is full"},
			{link.Connect, time.Second, "true "},
		} {
			step.do()
			time.Sleep(step.after)
			ready, problem := joined.Health()
			if got := fmt.Sprint(ready, " ", problem); got != step.want {
				t.Errorf("health: %s, want %s", got, step.want)
			}
		}
	})
}

// counting counts the writes of a change.
type counting struct {
	records.Store

	bytes, largest, operations int
}

func (c *counting) Commit(ctx context.Context, change records.Change) error {
	total := 0
	for _, entry := range change.Put {
		total += len(entry.Name) + len(entry.Value)
	}
	c.bytes, c.largest = c.bytes+total, max(c.largest, total)
	c.operations = max(c.operations, len(change.Put)+len(change.Delete))
	return c.Store.Commit(ctx, change)
}

// A large world is written within the limits of the store, and an edit writes little of it.
func TestLargeWorld(t *testing.T) {
	t.Parallel()
	var yaml strings.Builder
	yaml.WriteString("instances:\n")
	for i := range 100 {
		fmt.Fprintf(&yaml, "  - {name: vm-%d, metadata: {instance: {attributes: {filler: %q}}}}\n", i, bytes.Repeat([]byte{byte('a' + i%26)}, 20_000))
	}
	memory := recordstest.New()
	link := &counting{Store: memory.Join()}
	a := replica.New(replica.Config{Store: link, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if _, err := a.Begin(t.Context(), worldtest.Parse(t, yaml.String())); err != nil {
		t.Fatal(err)
	}
	worlds := store.NewKept(a.World(), a.Worlds)
	a.Feed(worlds)
	written := link.bytes
	if written < 3<<19 || link.largest > 1<<20+1<<17 || link.operations > records.MaxOperations {
		t.Errorf("the world was written as %d bytes, at most %d at once, at most %d operations", written, link.largest, link.operations)
	}
	for i := range 3 {
		link.bytes = 0
		if err := (part{worlds: worlds}).set(strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if link.bytes > written/10 {
			t.Errorf("an edit wrote %d of %d bytes", link.bytes, written)
		}
	}
	if b := join(t, memory, "{}"); b.text(t) != (part{worlds: worlds}).text(t) {
		t.Error("another replica reads another world")
	}
	// Afterwards a small world replaces it, and nothing of the large world stays.
	if err := a.Restart(worldtest.Parse(t, "{}")); err != nil {
		t.Fatal(err)
	}
	if left := link.Copy().List("world/parts"); len(left) > 2 {
		t.Errorf("%d parts are left", len(left))
	}
}

// Somebody deletes all records of the world: edits write it again.
func TestWorldIsDeleted(t *testing.T) {
	t.Parallel()
	change := map[string]func(part) error{
		"edit": func(p part) error { return p.set("2") },
		"restart": func(p part) error {
			return p.Restart(worldtest.Parse(t, `{instances: [{name: vm, metadata: {instance: {attributes: {a: "2"}}}}]}`))
		},
		"reset": func(p part) error { return cmp.Or(p.Reset(), p.set("2")) },
	}
	for name, change := range change {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory := recordstest.New()
			a, b := join(t, memory, "instances: [{name: vm}]"), join(t, memory, "{}")
			if err := a.set("1"); err != nil {
				t.Fatal(err)
			}
			if err := a.link.Commit(t.Context(), records.Change{Folders: []string{"world", "world/parts"}}); err != nil {
				t.Fatal(err)
			}
			if a.value() != "1" || b.value() != "1" {
				t.Errorf("without records, the replicas serve %v and %v", a.value(), b.value())
			}
			if err := change(b); err != nil {
				t.Fatal(err)
			}
			late := join(t, memory, "{}")
			for _, one := range []part{a, b, late} {
				if one.value() != "2" || one.text(t) != b.text(t) || one.Start().DefaultInstance().Name != "vm" {
					t.Errorf("a replica has %v and\n%s", one.value(), one.text(t))
				}
			}
		})
	}
}

// contended is a store in which another process is always faster.
type contended struct{ records.Store }

func (contended) Commit(context.Context, records.Change) error {
	time.Sleep(time.Second / 10)
	return records.ErrConflict
}

func TestChangesEndInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := recordstest.New()
		join(t, memory, "{}")
		const timeout = 5 * time.Second
		late := replica.New(replica.Config{Store: contended{memory.Join()}, Timeout: timeout, Logger: slog.New(slog.DiscardHandler)})
		if _, err := late.Begin(t.Context(), worldtest.Parse(t, "{}")); err != nil {
			t.Fatal(err)
		}
		worlds := store.NewKept(late.World(), late.Worlds)
		late.Feed(worlds)
		for name, change := range map[string]func() error{
			"update":  func() error { return (part{worlds: worlds}).set("1") },
			"restart": func() error { return late.Restart(worldtest.Parse(t, "{}")) },
			"reset":   late.Reset,
		} {
			begun := time.Now()
			if _, lost := errors.AsType[*records.UnreachableError](change()); !lost {
				t.Errorf("the %s is not refused", name)
			}
			if took := time.Since(begun); took < timeout || took > timeout+time.Second {
				t.Errorf("the %s has ended after %v", name, took)
			}
		}
	})
}

// The store loses the newest changes: the replicas go back with it, and edits go on from there.
func TestStoreLosesChanges(t *testing.T) {
	t.Parallel()
	memory := recordstest.New()
	a, b := join(t, memory, "{}"), join(t, memory, "{}")
	if err := a.set("1"); err != nil {
		t.Fatal(err)
	}
	restore := memory.Backup()
	for _, value := range []string{"2", "3"} {
		if err := a.set(value); err != nil {
			t.Fatal(err)
		}
	}
	restore()
	if a.value() != "1" || b.value() != "1" {
		t.Errorf("the replicas have %v and %v", a.value(), b.value())
	}
	if err := b.set("4"); err != nil || a.value() != "4" {
		t.Errorf("the next edit: %v, %v", err, a.value())
	}
}
