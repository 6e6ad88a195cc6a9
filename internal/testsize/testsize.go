// Package testsize says how much a test does: all that it promises, or, under
// the race detector, which makes plain computing ten times slower and has
// nothing to find in it, a part. `make whole` runs the tests that use it at
// their whole size. Only test files import this package.
package testsize

// Of returns the size of a test: the whole, or what the race detector is given.
func Of(whole, raced int) int {
	if raceDetector {
		return raced
	}
	return whole
}
