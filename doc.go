// Package waybill is the domain of the system: a finished [Run] of a workflow,
// its [Schema], the [Delivery] of that run to one customer destination, the
// [Stage] a delivery is in, the [Receipt] of what arrived, and the [Failure]
// that says what went wrong, whose turn it is and what to do.
//
// It imports the standard library only. Everything else in the module knows
// this package; this package knows nothing else.
package waybill
