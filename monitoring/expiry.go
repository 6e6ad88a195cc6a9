package monitoring

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Expiry is a token or credential that ends.
type Expiry struct {
	Credential string // what it is, of few: share-token, sas, …
	Connector  string // empty: the fleet's own
	At         time.Time
}

// mostExpiries are shown: there may be one for each connector.
const mostExpiries = 20

// Expiries shows when tokens and credentials end.
type Expiries struct {
	desc *prometheus.Desc
	list atomic.Pointer[[]Expiry]
}

var _ prometheus.Collector = (*Expiries)(nil)

// NewExpiries returns one that shows none yet.
func NewExpiries() *Expiries { return &Expiries{desc: desc(expiry)} }

// Set shows these in the place of those before: the ones that end first. Of
// each connector's credential there may be one.
func (e *Expiries) Set(list []Expiry) {
	list = slices.SortedFunc(slices.Values(list), func(a, b Expiry) int { return a.At.Compare(b.At) })
	list = list[:min(mostExpiries, len(list))]
	e.list.Store(&list)
}

// Describe sends the metric's description.
func (e *Expiries) Describe(ch chan<- *prometheus.Desc) { ch <- e.desc }

// Collect sends what is shown.
func (e *Expiries) Collect(ch chan<- prometheus.Metric) {
	if list := e.list.Load(); list != nil {
		for _, x := range *list {
			ch <- sample(e.desc, float64(x.At.Unix()), x.Credential, x.Connector)
		}
	}
}
