package api

import (
	"maps"
	"net/http"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Destination is what can be paused as one.
type Destination struct {
	Name       string `json:"name"`            // e.g. s3, which s3/eu-central-1 is a part of
	Connectors int    `json:"connectors"`      // at it
	Pause      *Pause `json:"pause,omitempty"` // why it is paused, itself or by what it is a part of
}

// Destinations are all of them, by name.
type Destinations struct {
	Destinations []Destination `json:"destinations"`
}

func listDestinations(r *request) (int, any, error) {
	all, err := r.destinations()
	if err != nil {
		return 0, nil, err
	}
	answer := Destinations{Destinations: []Destination{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		answer.Destinations = append(answer.Destinations, all[name])
	}
	return http.StatusOK, answer, nil
}

// destinations are those that a connector is at, what they are parts of, and
// those that are paused. They are of every team's connectors.
func (r *request) destinations() (map[string]Destination, error) {
	if !r.grant.EveryTeam() {
		return nil, problem(http.StatusForbidden, "A destination has connectors of every team, and the token is not for all of them.")
	}
	list, err := r.api.o.Connectors.List(r.Context(), "")
	if err != nil {
		return nil, err
	}
	halts, err := r.api.o.Ledger.DestinationPauses(r.Context())
	if err != nil {
		return nil, err
	}
	all := map[string]Destination{}
	add := func(name string, connectors int) {
		all[name] = Destination{Name: name, Connectors: all[name].Connectors + connectors, Pause: shown(halts.At(name))}
	}
	for _, c := range list {
		for name := range ledger.Wider(r.api.o.Destination(c)) {
			add(name, 1)
		}
	}
	for name := range halts {
		add(name, 0)
	}
	return all, nil
}

func pauseDestination(r *request) (int, any, error) {
	return r.changeDestination("destination paused", func(name string) error {
		reason, err := r.reason()
		if err == nil {
			_, err = r.api.o.Ledger.PauseDestination(r.Context(), name, reason)
		}
		return err
	})
}

func resumeDestination(r *request) (int, any, error) {
	return r.changeDestination("destination resumed", func(name string) error {
		_, err := r.api.o.Ledger.ResumeDestination(r.Context(), name)
		return err
	})
}

// changeDestination does something to a destination that there is, and answers
// with what it is then.
func (r *request) changeDestination(what string, do func(name string) error) (int, any, error) {
	name := r.PathValue("id")
	all, err := r.destinations()
	if err != nil {
		return 0, nil, err
	}
	if _, ok := all[name]; !ok {
		return 0, nil, waybill.ErrNotFound
	}
	if err := do(name); err != nil {
		return 0, nil, err
	}
	r.api.o.Log.InfoContext(r.Context(), what, "component", "api", "destination", name, "by", r.who())
	if all, err = r.destinations(); err != nil {
		return 0, nil, err
	}
	answer := all[name]
	answer.Name = name // one without connectors that goes on is not listed any more
	return http.StatusOK, answer, nil
}
