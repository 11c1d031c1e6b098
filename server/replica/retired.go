package replica

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/retired"
)

// The folders of retired IDs, and of the newest age that each of them has forgotten.
const (
	retiredFolder   = "retired"
	forgottenFolder = retiredFolder + "/forgotten"
)

// Retired is a set of IDs. If an ID is in it, every replica counts the ID as retired. It implements
// retired.Set: of all calls in all replicas, exactly one is the first to retire an ID.
type Retired struct {
	store  records.Store
	bounds bounds
	name   string
	size   int
}

// Retired returns the set with a name, which remembers the newest IDs, size of them. It calls told
// after other replicas have changed the set.
func (r *Replica) Retired(name string, size int, told func()) retired.Set {
	set := &Retired{r.store, r.bounds, name, size}
	r.store.Copy().Follow(set.folder(), func([]records.Record) { told() })
	return set
}

func (s *Retired) folder() string    { return retiredFolder + "/" + s.name }
func (s *Retired) forgotten() string { return forgottenFolder + "/" + s.name }

func (s *Retired) record(id string) string {
	return s.folder() + "/" + base64.RawURLEncoding.EncodeToString([]byte(id))
}

func (s *Retired) idOf(record records.Record) string {
	id, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(record.Name, s.folder()+"/"))
	return string(id)
}

// Has reports whether an ID is retired, as far as this replica has heard.
func (s *Retired) Has(id string) bool {
	if _, ok := s.store.Copy().Find(s.record(id)); ok {
		return true
	}
	mark, _ := s.store.Copy().Find(s.forgotten())
	return retired.Age(id) <= string(mark.Value)
}

// Retire retires an ID for all replicas.
func (s *Retired) Retire(ctx context.Context, id string) (again bool, err error) {
	ctx, cancel := s.bounds.within(ctx)
	defer cancel()
	for {
		if s.Has(id) {
			return true, nil
		}
		err := s.store.Commit(ctx, s.retirement(id))
		if !errors.Is(err, records.ErrConflict) {
			return false, err
		}
	}
}

// retirement returns the change that retires an ID. If there are too many, it forgets the oldest.
func (s *Retired) retirement(id string) records.Change {
	const atOnce = 50
	mark, _ := s.store.Copy().Find(s.forgotten())
	change := records.Change{
		If:  []records.Condition{{Name: s.record(id)}, {Name: s.forgotten(), Version: mark.Version}},
		Put: []records.Entry{{Name: s.record(id)}},
	}
	if s.store.Copy().Count(s.folder()) < s.size+atOnce {
		return change
	}
	known := s.store.Copy().List(s.folder())
	order.Sort(known, func(a, b records.Record) int { return strings.Compare(retired.Age(s.idOf(a)), retired.Age(s.idOf(b))) })
	oldest := known[:atOnce]
	for _, record := range oldest {
		change.Delete = append(change.Delete, record.Name)
	}
	newest := max(string(mark.Value), retired.Age(s.idOf(oldest[len(oldest)-1])))
	change.Put = append(change.Put, records.Entry{Name: s.forgotten(), Value: []byte(newest)})
	return change
}

// Reset does nothing: a reset of the replicas empties all sets in one change.
func (s *Retired) Reset() {}
