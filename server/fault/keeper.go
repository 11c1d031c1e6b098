package fault

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
)

// Keeper keeps the rules of a set that several processes share. It calls Follow of the process's own set
// before a method returns.
type Keeper interface {
	// Add keeps a rule under the next number.
	Add(rule []byte) (number int, err error)
	// Remove removes a rule, and reports whether it existed.
	Remove(number int) (existed bool, err error)
	// Clear removes all rules.
	Clear() error
}

// Kept is a rule that a keeper has.
type Kept struct {
	Number int
	Rule   []byte // nil: it was removed
}

// Keep makes several processes share the set. Each process counts its own requests, so a fault for N
// requests strikes N in each of them. Call it before the set is used.
func (s *Set) Keep(keeper Keeper) { s.keeper = keeper }

// Follow activates and removes rules as a keeper says. The time of a rule begins now. If rules cannot be
// read, it returns the error of the first.
func (s *Set) Follow(changed []Kept) (failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := slices.Clone(s.list())
	for _, one := range changed {
		id := strconv.Itoa(one.Number)
		next = slices.DeleteFunc(next, func(known *armed) bool { return known.fault.ID == id })
		if one.Rule == nil {
			continue
		}
		var rule Rule
		if err := json.Unmarshal(one.Rule, &rule); err != nil {
			failure = cmp.Or(failure, err)
			continue
		}
		next = append(next, s.arm(one.Number, rule))
	}
	slices.SortFunc(next, func(a, b *armed) int { return cmp.Compare(a.number, b.number) })
	s.replace(next)
	return failure
}

// share adds a rule to the sets of all processes.
func (s *Set) share(rule Rule) (Fault, error) {
	text, err := json.Marshal(rule)
	if err != nil {
		return Fault{}, err
	}
	number, err := s.keeper.Add(text)
	if err != nil {
		return Fault{}, err
	}
	added, _ := s.Find(strconv.Itoa(number))
	return added, nil
}
