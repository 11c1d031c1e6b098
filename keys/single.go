package keys

import (
	"errors"
	"maps"
	"path"
	"slices"

	"gcp-metadata-emulator/keys/disk"
)

// single is a kept file that belongs to no set.
type single struct {
	name     string
	data     []byte
	modified int64 // the change of the file that is known
}

// Check writes the ring's files again if somebody has removed them. It looks at every file only if
// whole folders are missing.
func (r *Ring) Check() {
	if !r.vault.stored || !r.checking.CompareAndSwap(false, true) {
		return
	}
	defer r.checking.Store(false)
	sets := r.Own()
	r.mu.Lock()
	singles := slices.Clone(r.singles)
	if r.vault.stamp(accountsFolder) == disk.Absent {
		sets = slices.AppendSeq(sets, maps.Values(r.accounts))
	}
	r.mu.Unlock()
	var troubles []error
	for _, set := range sets {
		_, err := set.Known()
		troubles = append(troubles, err)
	}
	for _, file := range singles {
		troubles = append(troubles, r.restoreSingle(file))
	}
	troubles = append(troubles, r.contents.restore())
	for _, trouble := range troubles {
		if trouble != nil {
			r.vault.tell(trouble)
		}
	}
}

// restoreSingle writes a file if it is missing. If another process has made another file in its
// place, the error is errReplaced, and this process keeps the content that its users have seen.
func (r *Ring) restoreSingle(file single) error {
	modified := r.vault.modified(file.name)
	if modified == file.modified && modified != 0 {
		return nil
	}
	done, err := r.vault.restore(file.name, file.data)
	if done {
		r.vault.tellRestored(path.Dir(file.name))
	}
	if err == nil || errors.Is(err, errReplaced) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.remember(file.name, file.data)
	}
	return err
}

// remember makes Check take care of a file. The caller must hold mu.
func (r *Ring) remember(name string, data []byte) {
	r.singles = slices.DeleteFunc(slices.Clone(r.singles), func(file single) bool { return file.name == name })
	r.singles = append(r.singles, single{name, data, r.vault.modified(name)})
}
