package upload

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/waybillhq/waybill"
)

// seed makes every run of the same size the same run.
const seed = 1

// productSchema is of a shop's products as scraping gives them: 16 fields,
// about 640 bytes a record.
func productSchema() waybill.Schema {
	var s waybill.Schema
	for f := range strings.SplitSeq("sku STRING,title STRING,brand CLASSIFICATION,category CLASSIFICATION,url LINK,image IMAGE,price MONEY,listPrice NUMBER,"+
		"rating NUMBER,reviews NUMBER,inStock BOOLEAN,releasedOn DATE,scrapedAt DATETIME,description STRING,attributes OBJECT,tags ARRAY", ",") {
		name, dataType, _ := strings.Cut(f, " ")
		s.Fields = append(s.Fields, waybill.Field{Name: name, DataType: waybill.DataType(dataType)})
	}
	return s
}

// generate writes records until there are so many bytes.
func generate(path string, bytes int64) (rows, written int64, err error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	r := rand.New(rand.NewPCG(seed, seed))
	for err == nil && written < bytes {
		var n int
		n, err = out.WriteString(product(r, rows))
		written += int64(n)
		rows++
	}
	return rows, written, errors.Join(err, out.Flush(), file.Close())
}

var words = strings.Fields("steel cotton compact wireless garden kitchen premium light über outdoor classic travel café")

func product(r *rand.Rand, i int64) string {
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		return b.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, `{"sku":"SKU-%08d","title":"%s","brand":"Brand %d","category":"Home > %s",`, i, text(5), r.IntN(40), words[r.IntN(9)])
	fmt.Fprintf(&b, `"url":"https://shop.example/p/%d?ref=%x","image":"https://img.example/%x.jpg",`, i, r.Uint32(), r.Uint64())
	fmt.Fprintf(&b, `"price":{"amount":%d,"currencyCode":"EUR"},"listPrice":%d.%02d,"rating":%d.%d,"reviews":%d,`,
		r.IntN(100000), r.IntN(900), r.IntN(100), r.IntN(5), r.IntN(10), r.IntN(5000))
	fmt.Fprintf(&b, `"inStock":%t,"releasedOn":"20%02d-%02d-%02d","scrapedAt":"2025-01-15T10:%02d:%02d.%03dZ",`,
		r.IntN(4) > 0, r.IntN(25), 1+r.IntN(12), 1+r.IntN(28), r.IntN(60), r.IntN(60), r.IntN(1000))
	fmt.Fprintf(&b, `"description":"%s","attributes":{"color":"%s","weight":%d},"tags":["%s","%s"]}`+"\n",
		text(22), words[r.IntN(6)], r.IntN(2000), words[r.IntN(9)], words[r.IntN(9)])
	return b.String()
}

func writeRun(path string, run waybill.Run) error {
	text, err := json.Marshal(run)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
