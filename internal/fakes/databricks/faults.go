package databricks

import "strings"

type moment bool

const (
	before moment = false
	after  moment = true
)

// Fault is something that goes wrong with a call.
type Fault struct {
	Method, Path string // the call: a method, and a part of the path; empty: any
	Skip         int    // let so many such calls pass first
	Times        int    // befalls so many calls; 0: one
	After        bool   // what was asked for takes effect first

	Crash      bool   // cuts the connection, and every later one until Heal
	Cut        bool   // cuts this connection alone
	Status     int    // answers so,
	Code       string // with this error code,
	RetryAfter string // and this header
	Edit       func(answer map[string]any)
}

// Inject makes the fault befall the calls that it names.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = max(f.Times, 1)
	s.faults = append(s.faults, &f)
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead, s.faults = false, nil
}

// fault returns what befalls the call, or nil.
func (s *Server) fault(r Request) *Fault {
	for _, f := range s.faults {
		if f.Times == 0 || f.Method != "" && f.Method != r.Method || !strings.Contains(r.Path, f.Path) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Times--
		s.dead = s.dead || f.Crash
		return f
	}
	return nil
}

func (f *Fault) cuts(m moment) bool {
	return f != nil && f.After == bool(m) && (f.Cut || f.Crash)
}

func (f *Fault) refusal(m moment) *failure {
	if f == nil || f.After != bool(m) || f.Status == 0 {
		return nil
	}
	return &failure{Status: f.Status, Code: f.Code, Message: "injected", RetryAfter: f.RetryAfter}
}

func (f *Fault) edit(answer any) any {
	if f == nil || f.Edit == nil {
		return answer
	}
	doc := toMap(answer)
	f.Edit(doc)
	return doc
}
