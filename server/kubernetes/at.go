//go:build cluster

package kubernetes

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

// At returns the instance of the pod with an address. If there is no such pod, it returns the
// reason. If the pod has not been seen yet, At waits a while; the end of ctx ends the wait.
func (w *Watcher) At(ctx context.Context, address netip.Addr) (instance string, refusal *journal.Refusal) {
	found := w.look(address)
	if found.refusal == nil {
		return found.instance, nil
	}
	if found.news == nil || w.isImpatient(address) {
		return "", found.refusal
	}
	patience := time.NewTimer(w.config.Patience)
	defer patience.Stop()
	for {
		select {
		case <-found.news:
			if found = w.look(address); found.refusal == nil || found.news == nil {
				return found.instance, found.refusal
			}
		case <-ctx.Done():
			return "", found.refusal
		case at := <-patience.C:
			w.impatient.Add(address.String(), at)
			return "", found.refusal
		}
	}
}

// isImpatient reports whether a request from an address has just waited in vain. If so, the next
// request from there need not wait.
func (w *Watcher) isImpatient(address netip.Addr) bool {
	at, known := w.impatient.Get(address.String())
	return known && time.Since(at) < w.config.Patience
}

// finding is the result of a look.
type finding struct {
	instance string
	refusal  *journal.Refusal
	news     <-chan struct{} // closed when another look may find something else; nil: nothing will change soon
}

// look looks an address up.
func (w *Watcher) look(address netip.Addr) finding {
	owner, sharing, news := w.index.find(address)
	strange, isStrange := w.strange.Load(owner.account)
	switch {
	case owner.pod == "" && len(sharing) > 0:
		return finding{refusal: refusalf("set hostNetwork: false in the pod, or give it a key file: see the command credentials",
			"the address %s is that of a node, which pods in its network share: %s", address, some(sharing))}
	case owner.pod == "":
		return finding{news: news, refusal: w.unknown(address)}
	case isStrange:
		return finding{refusal: refusalf(fmt.Sprintf("write the e-mail address of a service account: kubectl annotate serviceaccount --overwrite %s=NAME@PROJECT.iam.gserviceaccount.com", annotation),
			"the service account %q of the pod %q is annotated with %q, which is not an e-mail address", owner.account, owner.pod, strange)}
	case !w.config.Into.HasAccount(owner.account):
		return finding{news: news, refusal: refusalf("wait, or check that this program may list and watch service accounts",
			"the service account %q of the pod %q has not been seen yet", owner.account, owner.pod)}
	}
	return finding{instance: owner.pod}
}

// unknown says that no pod has an address.
func (w *Watcher) unknown(address netip.Addr) *journal.Refusal {
	if failure := w.pods.failure.Load(); failure != nil {
		return refusalf("see /emulator/v1/readyz: the API server of the cluster is not heard",
			"no pod that was seen has the address %s, and pods cannot be watched at the moment: %s", address, *failure)
	}
	const hint = "check with: kubectl get pods --all-namespaces -o wide; behind a proxy or a NAT the emulator sees another address than the pod's"
	if w.config.Node != "" {
		return refusalf(hint, "no pod of the node %q has the address %s, and other nodes are not watched (--node)", w.config.Node, address)
	}
	return refusalf(hint, "no pod has the address %s", address)
}

// some returns the first names of a list as a text.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func refusalf(hint, format string, details ...any) *journal.Refusal {
	return &journal.Refusal{Code: reason.UnknownCaller, Reason: fmt.Sprintf(format, details...), Hint: hint}
}
