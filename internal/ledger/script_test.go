package ledger

import (
	"strings"
	"testing"
)

func TestAScriptHasWhatItUsesOfWhatIsShared(t *testing.T) {
	list := definitions("-- says a\nlocal a = 1\nlocal b, c = 2, 3\nlocal function d() return a + c end -- not b\nlocal function e() return 'd' end\n")
	for _, c := range []struct{ main, want string }{
		{"return 1", ""},
		{"return a", "local a = 1\n"},
		{"return d()", "local a = 1\nlocal b, c = 2, 3\nlocal function d() return a + c end\n"},
		{"return e()", "local function e() return 'd' end\n"},
		{"return 'd' -- and not e", ""},
	} {
		if got := strings.ReplaceAll(used(list, c.main), "end \n", "end\n"); got != c.want {
			t.Errorf("%q has %q, want %q", c.main, got, c.want)
		}
	}
}

func TestEveryScriptIsKnownByItsName(t *testing.T) {
	names := map[string]bool{}
	for _, name := range Scripts() {
		names[name] = true
	}
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch name := strings.TrimSuffix(f.Name(), ".lua"); name {
		case "lib", "admission", "notes", "window": // what scripts share
		default:
			if !names[name] {
				t.Errorf("lua/%s.lua is no script's", name)
			}
		}
	}
}
