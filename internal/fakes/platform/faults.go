package platform

import "strings"

// Fault is something that goes wrong with a call.
type Fault struct {
	Path  string // the call: a part of its path; empty: any
	Query string // a part of its query; empty: any
	Skip  int    // let so many such calls pass first
	Times int    // befalls so many calls; 0: one, less than 0: all

	Status     int    // answers so,
	RetryAfter string // with this header
	Garbage    string // answers 200 and this text
	Cut        bool   // breaks the connection
	CutAfter   int    // behind so many bytes of the answer, as they are sent
	Do         func() // is done before the call is answered: what is paged through changes, the caller dies
}

// Inject makes the fault befall the calls that it names.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults = append(s.faults, &f)
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault returns what befalls the call, or nil.
func (s *Server) fault(r Request) *Fault {
	for _, f := range s.faults {
		if f.Times == 0 || !strings.Contains(r.Path, f.Path) || !strings.Contains(r.Query, f.Query) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Times--
		return f
	}
	return nil
}

func (f *Fault) cuts() bool { return f != nil && f.Cut }

func (f *Fault) refusal() *failure {
	if f == nil || f.Status == 0 {
		return nil
	}
	return &failure{Status: f.Status, Message: "injected", retryAfter: f.RetryAfter}
}
