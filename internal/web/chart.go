package web

import (
	"fmt"
	"time"

	"github.com/waybillhq/waybill/internal/ledger"
)

const (
	chartHours  = 24
	chartWidth  = 30  // of an hour
	chartHeight = 100 // of the largest hour
	chartFresh  = 15 * time.Second
)

// chart is the deliveries of the last day by the hour, as bars.
type chart struct {
	Bars                    []bar
	Complete, Open, Stopped int
	Most                    int
	made                    time.Time
}

// bar is one hour: three parts, one above the other.
type bar struct {
	X      int
	Label  string // on the axis; empty for most
	Title  string
	Blocks []block
}

type block struct {
	Class     string
	Y, Height float64
}

// chart counts, or takes what was counted a moment ago: the counts are of every index.
func (v *visit) chart(team string) (chart, error) {
	v.mu.Lock()
	c, ok := v.charts[team]
	v.mu.Unlock()
	if ok && v.o.Now().Sub(c.made) < chartFresh {
		return c, nil
	}
	periods, err := v.o.Ledger.Timeline(v.r.Context(), team, v.o.Now(), time.Hour, chartHours)
	if err != nil {
		return chart{}, err
	}
	c = draw(periods)
	c.made = v.o.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.charts) > 100 { // teams come and go
		clear(v.charts)
	}
	v.charts[team] = c
	return c, nil
}

func draw(periods []ledger.Period) (c chart) {
	for _, p := range periods {
		c.Complete, c.Open, c.Stopped = c.Complete+p.Complete, c.Open+p.Open, c.Stopped+p.Stopped
		c.Most = max(c.Most, p.Complete+p.Open+p.Stopped)
	}
	for i, p := range periods {
		b := bar{X: i * chartWidth, Title: fmt.Sprintf("%s: %d complete, %d under way, %d stopped", p.From.Format("15:04"), p.Complete, p.Open, p.Stopped)}
		if p.From.Hour()%6 == 0 {
			b.Label = p.From.Format("15:04")
		}
		top := float64(chartHeight)
		for _, part := range []struct {
			class string
			n     int
		}{{"complete", p.Complete}, {"open", p.Open}, {"stopped", p.Stopped}} {
			if part.n == 0 {
				continue
			}
			height := max(2, chartHeight*float64(part.n)/float64(c.Most)) // what is there is seen
			top -= height
			b.Blocks = append(b.Blocks, block{part.class, top, height})
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}
