// Package replica lets several emulators be one: it keeps in shared records what a single emulator
// keeps in its memory and in its state directory.
//
// It decides which records there are, and what a change of them means for this process. Each part of
// the emulator has a small seam for it, such as store.Keeper, and does not know whether it is shared.
// The records travel by a records.Store. The journal and the counts of faults stay in each replica, which forgets
// them when a record says that the replicas were reset.
package replica
