package watch

// Refuse makes the system refuse to watch folders with this error, or no longer refuse if it is nil.
func (w *Watch) Refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add = w.notify.Add
	if err != nil {
		w.add = func(string) error { return err }
	}
}
