package ledger

import (
	"embed"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

func lua(name string) string {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // the files are part of the program
	}
	return string(text)
}

// shared is what the scripts on one slot have in common.
var shared = definitions(lua("lib") + lua("admission") + lua("notes"))

var scripts = map[string]string{}

// Scripts are the names of the scripts by what Redis calls them.
func Scripts() map[string]string { return scripts }

// named notes a script's name.
func named(name, text string) *redis.Script {
	s := redis.NewScript(text)
	scripts[s.Hash()] = name
	return s
}

// script loads lua/name.lua, which works on one slot, behind what it uses of
// what such scripts share. What it changed of deliveries is written when it
// returns.
func script(name string) *redis.Script {
	main := "local function main()\n" + lua(name) + "end\nlocal out = main()\nflush()\nreturn out\n"
	return named(name, used(shared, main)+main)
}

// definition is a statement of a Lua file: "local …" up to the next one.
type definition struct {
	text  string
	names []string // that it defines
	words map[string]bool
}

var (
	statement = regexp.MustCompile(`(?m)^local `)
	defines   = regexp.MustCompile(`^local (?:function )?(\w+(?:, \w+)*)`)
	word      = regexp.MustCompile(`\w+`)
	comment   = regexp.MustCompile(`(?m) *--.*$`)
	quoted    = regexp.MustCompile(`'[^']*'`)
)

func definitions(text string) (list []definition) {
	text = comment.ReplaceAllString(text, "")
	starts := append(statement.FindAllStringIndex(text, -1), []int{len(text)})
	for i, from := range starts[:len(starts)-1] {
		d := definition{text: text[from[0]:starts[i+1][0]]}
		d.names = strings.Split(defines.FindStringSubmatch(d.text)[1], ", ")
		d.words = wordsOf(d.text)
		list = append(list, d)
	}
	return list
}

func wordsOf(text string) map[string]bool {
	words := map[string]bool{}
	for _, w := range word.FindAllString(quoted.ReplaceAllString(comment.ReplaceAllString(text, ""), ""), -1) {
		words[w] = true
	}
	return words
}

// used is what of the definitions a text needs, in their order: Redis makes
// each of them anew for every call of a script, which takes longer than most
// of what a script does with them.
func used(list []definition, text string) string {
	wanted := wordsOf(text)
	var parts []string
	for _, d := range slices.Backward(list) { // what one uses is defined before it
		if !slices.ContainsFunc(d.names, func(name string) bool { return wanted[name] }) {
			continue
		}
		for w := range d.words {
			wanted[w] = true
		}
		parts = append(parts, d.text)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "")
}
