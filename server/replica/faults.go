package replica

import (
	"errors"
	"fmt"
	"strconv"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/records"
)

// The rules of faults, and the record with the newest number. A reset keeps it, so that a number never
// means two faults.
const (
	faultsFolder    = "faults"
	newestFaultName = "counts/faults"
)

// faults keeps the rules of the replicas' faults. It implements fault.Keeper.
type faults struct {
	store  records.Store
	bounds bounds
}

// ShareFaults makes all replicas share a set of faults.
func (r *Replica) ShareFaults(set *fault.Set) {
	set.Keep(faults{r.store, r.bounds})
	r.store.Copy().Follow(faultsFolder, func(changed []records.Record) {
		var kept []fault.Kept
		for _, record := range changed {
			if number := numberOf(record); number > 0 {
				kept = append(kept, fault.Kept{Number: number, Rule: record.Value})
			}
		}
		if err := set.Follow(kept); err != nil {
			r.logger.Error("cannot read a fault that the replicas share", "error", err)
		}
	})
}

// nameOfFault returns the name of a rule's record. Names sort like numbers.
func nameOfFault(number int) string { return fmt.Sprintf("%s/%09d", faultsFolder, number) }

// numberOf returns the number of a rule, or 0 for another record.
func numberOf(record records.Record) int {
	number, _ := strconv.Atoi(record.Name[len(faultsFolder)+1:])
	return number
}

func (f faults) commit(change records.Change) error {
	ctx, cancel := f.bounds.commit()
	defer cancel()
	return f.store.Commit(ctx, change)
}

// Add keeps a rule under a number that no rule has had before.
func (f faults) Add(rule []byte) (int, error) {
	for {
		newest, _ := f.store.Copy().Find(newestFaultName)
		number, _ := strconv.Atoi(string(newest.Value)) // 0 if there is no such record
		if known := f.store.Copy().List(faultsFolder); len(known) > 0 {
			number = max(number, numberOf(known[len(known)-1])) // somebody may have deleted the count
		}
		number++
		err := f.commit(records.Change{
			If:  []records.Condition{{Name: newestFaultName, Version: newest.Version}, {Name: nameOfFault(number)}},
			Put: []records.Entry{{Name: nameOfFault(number), Value: rule}, {Name: newestFaultName, Value: []byte(strconv.Itoa(number))}},
		})
		if !errors.Is(err, records.ErrConflict) {
			return number, err
		}
	}
}

// Remove removes a rule.
func (f faults) Remove(number int) (bool, error) {
	found, ok := f.store.Copy().Find(nameOfFault(number))
	if !ok {
		return false, nil
	}
	err := f.commit(records.Change{
		If: []records.Condition{{Name: found.Name, Version: found.Version}}, Delete: []string{found.Name},
	})
	if errors.Is(err, records.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// Clear removes all rules.
func (f faults) Clear() error { return f.commit(records.Change{Folders: []string{faultsFolder}}) }
