package keys

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"gcp-metadata-emulator/keys/disk"
)

// machine runs rings one after the other, and knows what their users were told of.
type machine struct {
	stock *Stock
	told  map[string]string
}

func (m *machine) ring(system disk.System) *Ring {
	ring := newRing(directory{disk.NewFolderOn("/state", system)}, newPool(), time.Now)
	m.stock.supply(ring)
	return ring
}

// live makes and rotates keys, and records what users were told of, until the power fails.
func (m *machine) live(ring *Ring) error {
	if err := ring.Load(); err != nil {
		return err
	}
	secret, err := ring.Secret()
	if err != nil {
		return err
	}
	m.told["secret"] = hex.EncodeToString(secret)
	for i, set := range []*Set{ring.Google(), ring.System("a@b.c"), ring.User("a@b.c", "1")} {
		if err := m.publish(fmt.Sprint("set ", i), set); err != nil {
			return err
		}
	}
	if err := ring.Google().Rotate(context.Background(), 0); err != nil {
		return err
	}
	active, err := ring.Google().Active(context.Background())
	if err != nil {
		return err
	}
	m.told["active"] = active.ID()
	iap, err := ring.IAP()
	if err != nil {
		return err
	}
	m.told["iap"] = iap.ID()
	authority, err := ring.Authority()
	if err != nil {
		return err
	}
	m.told["ca"] = authority.Certificate()
	if err := ring.contents.keep(contentID([]byte("content")), []byte("content")); err != nil {
		return err
	}
	m.told["content"] = "content"
	return nil
}

func (m *machine) publish(name string, set *Set) error {
	published, err := set.Published(context.Background())
	for i, key := range published {
		m.told[fmt.Sprint(name, " ", i)] = key.ID()
	}
	return err
}

// check checks that a ring has everything that users were told of.
func (m *machine) check(t *testing.T, ring *Ring) {
	t.Helper()
	if err := ring.Load(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, set := range []*Set{ring.Google(), ring.System("a@b.c"), ring.User("a@b.c", "1")} {
		if _, err := set.Known(); err != nil {
			t.Fatal(err)
		}
		for _, key := range set.all() {
			ids = append(ids, key.ID())
		}
	}
	for what, id := range m.told {
		switch what {
		case "secret":
			if secret, err := ring.Secret(); err != nil || hex.EncodeToString(secret) != id {
				t.Errorf("the secret has changed: %v", err)
			}
		case "active":
			if usable := ring.Google().usable(); len(usable) == 0 || usable[0].ID() != id {
				t.Error("the rotation is forgotten")
			}
		case "iap":
			if key, err := ring.IAP(); err != nil || key.ID() != id {
				t.Errorf("the key of Identity-Aware Proxy has changed: %v", err)
			}
		case "ca":
			if authority, err := ring.Authority(); err != nil || authority.Certificate() != id {
				t.Errorf("the authority has changed: %v", err)
			}
		case "content":
			if _, ok, err := ring.KeptContent(contentID([]byte(id))); !ok || err != nil {
				t.Errorf("the content is lost: %v", err)
			}
		default:
			if !slices.Contains(ids, id) {
				t.Errorf("%s is lost: %s", what, id)
			}
		}
	}
}

// The power fails after each single change to the disk. Whatever users were told of before is there
// at the next start, whatever the disk has done with changes that were not synced.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	stock := NewStock()
	whole := newVolatile(-1)
	if err := (&machine{stock: stock, told: map[string]string{}}).live((&machine{stock: stock}).ring(whole)); err != nil {
		t.Fatal(err)
	}
	losses := []loss{{"all is lost", false, false}, {"names are kept", true, false}, {"contents are kept", false, true}, {"nothing is lost", true, true}}
	for after := range whole.made {
		m := &machine{stock: stock, told: map[string]string{}}
		system := newVolatile(after)
		ring := m.ring(system)
		if err := m.live(ring); !errors.Is(err, errPowerCut) {
			t.Fatalf("after %d changes: %v", after, err)
		}
		ring.Wait()
		for _, lost := range losses {
			t.Run(fmt.Sprintf("%d, %s", after, lost.name), func(t *testing.T) {
				next := system.afterPowerCut(lost)
				m.check(t, m.ring(next))
				if litter := slices.DeleteFunc(next.files(), func(name string) bool { return !isUnfinished(name) }); len(litter) > 0 {
					t.Errorf("unfinished files remain: %q", litter)
				}
			})
		}
	}
	t.Logf("%d power cuts, with %d losses each", whole.made, len(losses))
}

// unlinkable is a file system from which somebody removes the unfinished file before it gets its name.
type unlinkable struct{ *volatile }

func (unlinkable) Link(from, to string) error {
	return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.ENOENT}
}

// A file that cannot get its name because somebody has removed it is an error with a path and a hint.
func TestUnfinishedFileIsRemoved(t *testing.T) {
	t.Parallel()
	_, err := newRing(directory{disk.NewFolderOn("/state", unlinkable{newVolatile(-1)})}, newPool(), time.Now).Secret()
	if file, ok := errors.AsType[*FileError](err); !ok || !isSystemError(err) || file.Path != "/state/keys/token.secret" {
		t.Errorf("got %v, want a FileError of the system", err)
	}
}
