package testservers

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Browser is one tab of a Chromium, spoken to over pipes by its own protocol:
// https://chromedevtools.github.io/devtools-protocol/
type Browser struct {
	t       testing.TB
	to      *os.File
	session string

	mu      sync.Mutex
	last    int
	answers map[int]chan message
	loaded  chan struct{}
	refused []string
}

// message is an answer, or an event.
type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Params json.RawMessage `json:"params"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

const browserTimeout = 60 * time.Second // of one answer, or one page; it is only waited out when something is broken

// Chromium starts a browser without a window.
func Chromium(t testing.TB) *Browser {
	t.Helper()
	path, err := systemProgram("chromium", "apt-get install chromium")
	if err != nil {
		t.Fatal(err)
	}
	read, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, to: to, answers: map[int]chan message{}, loaded: make(chan struct{}, 16)}
	go b.listen(from)
	_, err = start(t, command{path: path, dir: t.TempDir(), files: []*os.File{read, write},
		args: []string{"--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
			"--disable-extensions", "--disable-background-networking", "--hide-scrollbars", "--force-color-profile=srgb", "--user-data-dir=" + t.TempDir()},
		ready: func(context.Context, int) error {
			b.attach()
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = read.Close(), write.Close() // they are the browser's
	t.Cleanup(func() { _, _ = to.Close(), from.Close() })
	return b
}

// attach opens a tab; what is asked from then on is asked of it.
func (b *Browser) attach() {
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
}

func (b *Browser) listen(from *os.File) {
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return // the browser ended
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		switch m.Method {
		case "Page.loadEventFired":
			b.loaded <- struct{}{}
		case "Log.entryAdded", "Runtime.exceptionThrown":
			if strings.Contains(string(m.Params), `"level":"verbose"`) { // advice
				continue
			}
			b.mu.Lock()
			b.refused = append(b.refused, string(m.Params))
			b.mu.Unlock()
		case "":
			b.mu.Lock()
			answer := b.answers[m.ID]
			delete(b.answers, m.ID)
			b.mu.Unlock()
			if answer != nil {
				answer <- m
			}
		}
	}
}

// call asks the browser, and decodes its answer.
func (b *Browser) call(method string, params, into any) {
	b.t.Helper()
	answer := make(chan message, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.answers[id] = answer
	b.mu.Unlock()
	if params == nil {
		params = map[string]any{}
	}
	text, err := json.Marshal(struct {
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
		Session string `json:"sessionId,omitempty"`
	}{id, method, params, b.session})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if into != nil {
			if err := json.Unmarshal(m.Result, into); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(browserTimeout):
		b.t.Fatalf("%s: the browser does not answer", method)
	}
}

// Open shows a page, and returns when it is there with all that it loads.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.Leave(func() { b.call("Page.navigate", map[string]any{"url": url}, nil) })
}

// Leave does what leads to another page, and returns when that is there.
func (b *Browser) Leave(act func()) {
	b.t.Helper()
	for len(b.loaded) > 0 {
		<-b.loaded
	}
	act()
	select {
	case <-b.loaded:
	case <-time.After(browserTimeout):
		b.t.Fatal("the page does not load")
	}
}

// Eval runs a script in the page, and returns what it says as text.
func (b *Browser) Eval(script string) string {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true}, &answer)
	if e := answer.ExceptionDetails; e != nil {
		b.t.Fatalf("%.80s: %s", script, e.Exception.Description)
	}
	if text, ok := answer.Result.Value.(string); ok {
		return text
	}
	return fmt.Sprint(answer.Result.Value)
}

// Type sets the value of the field that a selector finds, as a person would.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	b.Eval(fmt.Sprintf("document.querySelector(%q).focus(); document.querySelector(%q).select?.()", selector, selector))
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Click clicks what a selector finds, which leads to another page.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Leave(func() { b.Eval(fmt.Sprintf("document.querySelector(%q).click()", selector)) })
}

// Look makes the window as wide as a screen, light or dark.
func (b *Browser) Look(width int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 960, "deviceScaleFactor": 1.5, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot is what the window shows, as a PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

// Refused returns what the browser complained of since it was asked last: what
// a policy forbade, what failed.
func (b *Browser) Refused() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.refused = nil }()
	return b.refused
}

// Axe holds the page against the rules of accessibility that axe-core has, and
// returns what breaks them. https://github.com/dequelabs/axe-core
func (b *Browser) Axe() []string {
	b.t.Helper()
	root, err := projectRoot()
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(root, ".tools", "axe", "node_modules", "axe-core", "axe.min.js")
	script, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatalf("axe-core is not installed (%v); install it, where npm is there, with: make tools", err)
	}
	b.Eval(string(script))
	var broken []string
	text := b.Eval(`axe.run().then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join("; "))))`)
	if err := json.Unmarshal([]byte(text), &broken); err != nil {
		b.t.Fatal(err)
	}
	return broken
}
