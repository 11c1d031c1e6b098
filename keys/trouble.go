package keys

import (
	"errors"
	"fmt"
	"sync"
)

// troubles reports problems with kept files that do not stop the ring.
type troubles struct {
	mu     sync.Mutex
	report func(error)
	told   map[string]bool
}

// mostTold limits the number of different reports. A ring has fewer files in trouble at a time.
const mostTold = 1000

func newTroubles() *troubles { return &troubles{report: func(error) {}, told: map[string]bool{}} }

// ReportTrouble makes the ring call report for problems with its files that do not stop it: an ExposedError,
// a RemovedError, a MissingError, a ReplacedError, or a FileError of a file that is not needed at the moment.
// Call it before the ring is used.
func (r *Ring) ReportTrouble(report func(error)) { r.vault.report = report }

// tell reports trouble, once for each text.
func (t *troubles) tell(trouble error) {
	text := trouble.Error()
	t.mu.Lock()
	known := t.told[text] || len(t.told) >= mostTold
	t.told[text] = true
	t.mu.Unlock()
	if !known {
		t.repeat(trouble)
	}
}

// repeat reports trouble even if it was reported before.
func (t *troubles) repeat(trouble error) {
	if !errors.Is(trouble, errClosed) {
		t.report(trouble)
	}
}

// ExposedError reports that other users can change a file or folder of the ring.
type ExposedError struct {
	Path    string
	Problem string // such as "everybody can change it"
}

func (e *ExposedError) Error() string {
	return fmt.Sprintf("other users can change the signing keys: %q: %s", e.Path, e.Problem)
}

// Hint suggests how to correct the error.
func (e *ExposedError) Hint() string {
	return fmt.Sprintf("give the file to the user that runs the emulator, and take the rights of others away: chmod go-w %q", e.Path)
}

// RemovedError reports that files of the ring were removed while the ring was in use. The ring has
// written them again.
type RemovedError struct {
	Folder string
}

func (e *RemovedError) Error() string {
	return fmt.Sprintf("files in %q were removed while the emulator was running, and have been written again", e.Folder)
}

// Hint suggests how to avoid the error.
func (e *RemovedError) Hint() string {
	return "stop the emulator before you remove its state directory"
}

// MissingError reports that a file of the ring is missing, although another file refers to it.
type MissingError struct {
	Path string
	By   string // the file or folder that refers to it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("key file %q is missing, although %q refers to it: nothing signed or sealed with it is accepted any more", e.Path, e.By)
}

// Hint suggests how to correct the error.
func (e *MissingError) Hint() string {
	return "restore the file from a copy; if you have deleted it on purpose, there is nothing to do"
}

// ReplacedError reports that the ring has made a new certificate authority, because the previous
// authority has other constraints than this version, or has expired.
type ReplacedError struct {
	Old, New string // paths
}

func (e *ReplacedError) Error() string {
	return fmt.Sprintf("there is a new certificate authority, %q: %q has expired, or does not have the constraints of this emulator", e.New, e.Old)
}

// Hint advises the user.
func (e *ReplacedError) Hint() string {
	return "if you have trusted the certificate by hand, trust the new one: GET /emulator/v1/ca.pem"
}
