//go:build cluster

package kubernetes_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// edits checks that edits of an annotation wake the requests that wait, not much later than a watch has them.
func (s *scene) edits() {
	s.t.Helper()
	const (
		rounds = 21
		pause  = 150 * time.Millisecond // edits that follow each other faster are told together
	)
	s.account("edited", "")
	s.mustPod("edited", "edited", "127.4.1.1")
	s.expect("127.4.1.1", "demo-project.svc.id.goog")
	edits := s.follow("edited")
	var took, tookBare []time.Duration
	for round := range rounds {
		want := fmt.Sprintf("sa-%d@demo-project.iam.gserviceaccount.com", round)
		woken := make(chan seen, 1)
		go func() {
			_, body := s.get(s.t.Context(), "127.4.1.1", accountsPath+"?recursive=true&wait_for_change=true")
			woken <- seen{body, time.Now()}
		}()
		if err := s.emulator.AwaitWaiter(s.t.Context(), isOf("edited."+namespace)); err != nil {
			s.t.Fatal(err)
		}
		begin := time.Now()
		s.annotate("edited", want)
		got := <-woken
		var bare seen
		for bare.text != want {
			var watching bool
			if bare, watching = <-edits; !watching {
				s.t.Fatal("the watch beside the emulator's has ended")
			}
		}
		if !strings.Contains(got.text, want) {
			s.t.Fatalf("round %d: the request was answered with %s", round, got.text)
		}
		took, tookBare = append(took, got.at.Sub(begin)), append(tookBare, bare.at.Sub(begin))
		<-time.After(pause)
	}
	slices.Sort(took)
	slices.Sort(tookBare)
	median, medianBare := took[rounds/2], tookBare[rounds/2]
	s.t.Logf("from the edit of an annotation to the answer of a request that waits: median %v, longest %v; to the news of another watch: median %v",
		median, took[rounds-1], medianBare)
	if most := max(200*time.Millisecond, 20*medianBare); median > most { // a busy machine delays both
		s.t.Errorf("the median is %v, want at most %v", median, most)
	}
	s.endsWaits()
}

// seen is a text and when it came.
type seen struct {
	text string
	at   time.Time
}

// follow watches a service account without the emulator. The channel gets its annotations.
func (s *scene) follow(account string) <-chan seen {
	s.t.Helper()
	accounts := s.client.CoreV1().ServiceAccounts(namespace)
	now, err := accounts.List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	bare, err := accounts.Watch(s.t.Context(), metav1.ListOptions{ResourceVersion: now.ResourceVersion})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(bare.Stop)
	const room = 100 // more than all edits
	edits := make(chan seen, room)
	go func() {
		defer close(edits)
		for event := range bare.ResultChan() {
			switch one := event.Object.(type) {
			case *corev1.ServiceAccount:
				if one.Name == account {
					edits <- seen{one.Annotations[annotation], time.Now()}
				}
			default:
				s.t.Errorf("the watch beside the emulator's has %+v", one)
			}
		}
	}()
	return edits
}

// endsWaits checks that the request of a pod does not wait longer than the pod is there.
func (s *scene) endsWaits() {
	s.t.Helper()
	gone := make(chan int, 1)
	go func() {
		status, _ := s.get(s.t.Context(), "127.4.1.1", accountsPath+"?recursive=true&wait_for_change=true")
		gone <- status
	}()
	if err := s.emulator.AwaitWaiter(s.t.Context(), isOf("edited."+namespace)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.remove(s.t.Context(), "edited"); err != nil {
		s.t.Fatal(err)
	}
	if status := <-gone; status == http.StatusOK {
		s.t.Error("the request of a pod that was removed is answered as if the pod were there")
	}
}
