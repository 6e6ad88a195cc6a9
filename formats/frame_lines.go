package formats

import "bytes"

// lineFramer frames JSON Lines: a record a line. Blank lines are no records. A
// last line without a newline is one.
type lineFramer struct {
	out  *filler
	line int64
}

func (f *lineFramer) feed(p []byte) error {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			return f.out.add(p)
		}
		if err := f.out.add(p[:end]); err != nil {
			return err
		}
		if err := f.endLine(); err != nil {
			return err
		}
		p = p[end+1:]
	}
	return nil
}

func (f *lineFramer) endLine() error {
	f.line++
	if f.out.blank() {
		f.out.drop()
		return nil
	}
	return f.out.end(f.line)
}

func (f *lineFramer) finish() error {
	if err := f.endLine(); err != nil {
		return err
	}
	return f.out.flush()
}
