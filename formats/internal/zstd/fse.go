package zstd

import "math/bits"

// fseTable codes symbols of one kind by finite state entropy: RFC 8878, 4.1.
type fseTable struct {
	log    uint
	states [1 << 9]uint16
	steps  [64]fseStep // by symbol
}

// fseStep leads from a state to the next: the state and bits tell, in their
// upper half, how many of the state's lower bits are written; what is left of
// the state is found from the place on.
type fseStep struct {
	bits  uint32
	place int32
}

// first is the state that the last symbol leaves.
func (t *fseTable) first(symbol uint8) uint32 {
	step := t.steps[symbol&63]
	n := (step.bits + 1<<15) >> 16
	return uint32(t.states[int32((n<<16-step.bits)>>n)+step.place])
}

// next codes a symbol before those that made the state.
func (t *fseTable) next(state uint32, symbol uint8) (v uint64, n uint, to uint32) {
	step := &t.steps[symbol&63]
	n = uint(state+step.bits) >> 16 & 31
	v = uint64(state & (1<<n - 1))
	return v, n, uint32(t.states[uint32(int32(state>>n)+step.place)&(1<<9-1)])
}

// describe makes the table of n symbols that come so often, of at most 1<<most
// states, and appends what a reader makes it of. The mode says what that is.
func (t *fseTable) describe(dst []byte, count *counts, n int, most uint) (_ []byte, mode byte) {
	const one, compressed = 1, 2
	symbols, kinds := 0, 0
	for symbol, c := range count {
		if c > 0 {
			symbols = symbol + 1
			kinds++
		}
	}
	if kinds == 1 {
		t.log, t.states[0], t.steps[symbols-1] = 0, 0, fseStep{}
		return append(dst, byte(symbols-1)), one
	}
	t.log = uint(max(bits.Len(uint(n-1))-3, bits.Len(uint(symbols-1)), 5))
	t.log = min(t.log, most)
	var shares [64]int16
	share(&shares, count[:symbols], n, t.log)
	t.build(shares[:symbols])
	return appendShares(dst, shares[:symbols], t.log), compressed
}

// share gives the symbols that come their shares of 1<<log states, and the
// rarest a state of their own, which is -1.
func share(shares *[64]int16, count []uint32, n int, log uint) {
	left, largest := 1<<log, 0
	rare := uint32(n >> log)
	for symbol, c := range count {
		switch {
		case c == 0:
			continue
		case c <= rare:
			shares[symbol] = -1
			left--
			continue
		}
		s := max((int(c)<<log+n/2)/n, 1) // the nearest
		shares[symbol] = int16(s)
		left -= s
		if shares[symbol] > shares[largest] {
			largest = symbol
		}
	}
	for ; left < 0; left++ { // what is too much, from the largest in turn
		for symbol := range count {
			if shares[symbol] > shares[largest] {
				largest = symbol
			}
		}
		shares[largest]--
	}
	shares[largest] += int16(left)
}

// build spreads the symbols over the states, as every reader does.
func (t *fseTable) build(shares []int16) {
	size := 1 << t.log
	var symbolAt [1 << 9]uint8
	var from [65]int // place of each symbol's first state
	high := size - 1
	for symbol, s := range shares {
		if s == -1 {
			symbolAt[high] = uint8(symbol)
			high--
			s = 1
		}
		from[symbol+1] = from[symbol] + int(s)
	}
	at, stride := 0, size>>1+size>>3+3
	for symbol, s := range shares {
		for range s {
			symbolAt[at] = uint8(symbol)
			for at = (at + stride) & (size - 1); at > high; {
				at = (at + stride) & (size - 1)
			}
		}
	}
	for i, s := range shares {
		t.steps[i] = stepOf(int(s), from[i], t.log)
	}
	for i, symbol := range symbolAt[:size] {
		t.states[from[symbol]] = uint16(size + i)
		from[symbol]++
	}
}

// stepOf is of a symbol that has a share of the states, from a place on.
func stepOf(share, from int, log uint) fseStep {
	if share == 0 {
		return fseStep{}
	}
	if share == -1 || share == 1 {
		return fseStep{uint32(log<<16 - 1<<log), int32(from - 1)}
	}
	n := log - uint(bits.Len(uint(share-1))-1)
	return fseStep{uint32(n<<16) - uint32(share)<<n, int32(from - share)}
}

// appendShares appends the shares as RFC 8878, 4.1.1, has them: each in as many
// bits as what is left needs, runs of symbols without one as their number.
func appendShares(dst []byte, shares []int16, log uint) []byte {
	acc, n := uint64(log-5), uint(4)
	add := func(v int, k uint) {
		acc |= uint64(v) << n
		for n += k; n >= 8; n -= 8 {
			dst = append(dst, byte(acc))
			acc >>= 8
		}
	}
	left := 1<<log + 1 // states to be given, and one
	for i := 0; left > 1; i++ {
		width := uint(bits.Len(uint(left)))
		few := 1<<width - 1 - left // values that need a bit less
		v := int(shares[i]) + 1
		if shares[i] < 0 {
			left--
		} else {
			left -= int(shares[i])
		}
		switch {
		case v < few:
			add(v, width-1)
		case v < 1<<(width-1):
			add(v, width)
		default:
			add(v+few, width)
		}
		if shares[i] == 0 {
			run := 0
			for shares[i+1+run] == 0 {
				run++
			}
			i += run
			for ; run >= 3; run -= 3 {
				add(3, 2)
			}
			add(run, 2)
		}
	}
	if n > 0 {
		dst = append(dst, byte(acc))
	}
	return dst
}
