package formats

// fault is why a record is malformed. The zero fault is none.
type fault uint8

const (
	faultNone fault = iota
	faultMissing
	faultTooLarge
	faultUTF8
	faultNotObject
	faultTruncated
	faultSyntax
	faultNumber
	faultControl
	faultEscape
	faultDepth
	faultTrailing
)

// faultReasons are the sentences of receipts. They never quote the record.
var faultReasons = [...]string{
	faultNone:      "",
	faultMissing:   "nothing stands between two commas of the list",
	faultTooLarge:  "larger than the limit for a record",
	faultUTF8:      "holds bytes that are not UTF-8",
	faultNotObject: "is not a JSON object",
	faultTruncated: "ends in the middle of a value",
	faultSyntax:    "is not JSON",
	faultNumber:    "is not JSON: a malformed number",
	faultControl:   "is not JSON: a control character within a string",
	faultEscape:    "is not JSON: an unknown escape within a string",
	faultDepth:     "is nested deeper than the limit",
	faultTrailing:  "has text behind its end",
}

func (f fault) String() string { return faultReasons[f] }
