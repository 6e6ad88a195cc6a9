package formats

// parquetSize tells how large a file can become before it is written, from
// what goes into it: where files have a limit, what follows must fit whatever
// it compresses to.
type parquetSize struct {
	limit        int64 // of a file; 0: none, and nothing is reckoned
	columns      int64
	dictionaries int64 // columns that have one
	names        int64 // bytes of the columns' names

	longest []int64 // text of each column, as far as statistics keep it
	stats   int64   // bytes that one value of every column has
	footer  int64   // of the row groups that are written, at most
}

// What stands in a file beside values, names and statistics, at most. The
// Thrift structures have some ten to thirty numbers of up to 10 bytes, nearly
// all of them far shorter: https://parquet.apache.org/docs/file-format/metadata/
const (
	pageOverhead   = 128 // in a page's header
	indexOverhead  = 64  // in the indexes, for a page
	chunkOverhead  = 224 // in the footer, for a column of a row group
	columnOverhead = 64  // in the footer, for a column
	fileOverhead   = 256 // around all of it
)

func newParquetSize(l *layout, limit int64) parquetSize {
	s := parquetSize{limit: limit, columns: int64(len(l.columns)), longest: make([]int64, len(l.columns))}
	for i, c := range l.columns {
		s.names += int64(len(c.name))
		s.longest[i] = 16
		s.stats += s.longest[i]
	}
	return s
}

// see takes in how long the texts of a batch are.
func (s *parquetSize) see(b *batch) {
	if s.limit == 0 {
		return
	}
	for i := range b.columns {
		longest := s.longest[i]
		for _, v := range b.columns[i].text {
			longest = max(longest, int64(len(v)))
		}
		longest = min(longest, statBytes)
		s.stats += longest - s.longest[i]
		s.longest[i] = longest
	}
}

// begin begins a file.
func (s *parquetSize) begin() { s.footer = 0 }

// add takes in a row group that is written.
func (s *parquetSize) add(plain int64) {
	if s.limit > 0 {
		s.footer += s.inFooter(plain)
	}
}

// with is the most that a file has which has so many bytes by now and is ended.
func (s *parquetSize) with(written int64) int64 {
	return max(written, 4) + s.footer + s.columns*columnOverhead + s.names + fileOverhead
}

// group is the most that one more row group adds, its part of the footer
// included, from its rows and the plain size of its values.
func (s *parquetSize) group(rows, plain int64) int64 {
	levels := s.columns * (rows/4 + 16)
	indexes := s.dictionaries * rows * 3 // a dictionary ends at 1 MiB, and its indexes have fewer bits
	encoded := plain + levels + indexes
	pages, stats := s.pages(plain)
	return encoded + encoded/128 + pages*pageOverhead + 2*stats + s.inFooter(plain)
}

// pages is how many pages a row group has at most, and how many bytes the
// values have that are the least, or the greatest, of a page. A dictionary has
// a page, and may end in the middle of another.
func (s *parquetSize) pages(plain int64) (pages, stats int64) {
	full := plain / pageBytes
	return full + s.columns + 2*s.dictionaries, full*statBytes + s.stats
}

// inFooter is what a row group has in the file's footer and page indexes.
func (s *parquetSize) inFooter(plain int64) int64 {
	pages, stats := s.pages(plain)
	return pages*indexOverhead + 2*stats + s.columns*chunkOverhead + 2*s.names + 2*s.stats
}

// plainBefore is the plain size of a batch's rows before the one given.
func plainBefore(b *batch, row int) int64 {
	if row == 0 {
		return 0
	}
	return b.ends.plain[row-1]
}
