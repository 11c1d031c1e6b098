package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Tokens measures how tokens are issued, signed and looked up. It is safe for concurrent use, and its
// methods take no lock. The zero Tokens measures nothing.
type Tokens struct {
	minted    map[string]prometheus.Counter // by kind
	signature prometheus.Observer
	caches    map[string]Cache
}

// Cache counts the look-ups in one cache. The zero Cache counts nothing.
type Cache struct{ hits, misses prometheus.Counter }

// Tokens adds the measurements of tokens of the given kinds and of the named caches. Their time series
// exist from the start.
func (r *Requests) Tokens(kinds, caches []string) Tokens {
	minted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "tokens_minted_total", Help: "Tokens issued, without those taken from a cache, by kind.",
	}, []string{"kind"})
	signature := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "signature_duration_seconds", Help: "Time to make a signature.", Buckets: signatureBuckets(),
	})
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "cache_lookups_total", Help: "Look-ups in the caches of tokens, by cache and result.",
	}, []string{"cache", "result"})
	r.registry.MustRegister(minted, signature, lookups)
	t := Tokens{minted: map[string]prometheus.Counter{}, signature: signature, caches: map[string]Cache{}}
	for _, kind := range kinds {
		t.minted[kind] = minted.WithLabelValues(kind)
	}
	for _, cache := range caches {
		t.caches[cache] = Cache{lookups.WithLabelValues(cache, "hit"), lookups.WithLabelValues(cache, "miss")}
	}
	return t
}

// signatureBuckets are upper bounds in seconds. An RSA signature takes about a millisecond.
func signatureBuckets() []float64 {
	return []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3}
}

// Minted counts a token. It ignores unknown kinds.
func (t Tokens) Minted(kind string) {
	if counter := t.minted[kind]; counter != nil {
		counter.Inc()
	}
}

// Signed measures a signature.
func (t Tokens) Signed(took time.Duration) {
	if t.signature != nil {
		t.signature.Observe(took.Seconds())
	}
}

// Cache returns the counts of a cache, or the zero Cache if the cache is unknown.
func (t Tokens) Cache(name string) Cache { return t.caches[name] }

// Hit counts a look-up that found its entry.
func (c Cache) Hit() {
	if c.hits != nil {
		c.hits.Inc()
	}
}

// Miss counts a look-up that did not find it.
func (c Cache) Miss() {
	if c.misses != nil {
		c.misses.Inc()
	}
}

// KeyWaits adds the measurement of callers' waits for the generation of a key, and returns the
// function that takes the times.
func (r *Requests) KeyWaits() func(time.Duration) {
	waits := prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "key_wait_seconds", Help: "Time for which callers waited until a signing key was generated.",
		Buckets: []float64{1e-3, 10e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10},
	})
	r.registry.MustRegister(waits)
	return func(took time.Duration) { waits.Observe(took.Seconds()) }
}
