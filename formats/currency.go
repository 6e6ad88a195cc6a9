package formats

import "strings"

// minorUnits are the currencies of ISO 4217 by the decimals of their minor
// unit, with those withdrawn since 2010 at their last figure. They stand here
// because the figures of golang.org/x/text/currency are CLDR's, which say how
// amounts are rounded for display: there IDR, COP, PKR or RSD have no decimals,
// and amounts in minor units would come out a hundredfold.
// Codes without a minor unit (XAU, XDR, XXX) are no money here.
var minorUnits = map[int]string{
	0: "BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
	2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD " +
		"CAD CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EEK EGP ERN ETB EUR FJD FKP GBP GEL " +
		"GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD " +
		"LSL LTL LVL MAD MDL MGA MKD MMK MNT MOP MRO MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD " +
		"PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC " +
		"SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VEF VES WST XAD XCD XCG YER ZAR ZMK " +
		"ZMW ZWG ZWL",
	3: "BHD IQD JOD KWD LYD OMR TND",
	4: "CLF UYW",
}

type currency struct {
	code     []byte
	decimals int
}

var currencies = indexCurrencies()

func indexCurrencies() map[[3]byte]currency {
	index := map[[3]byte]currency{}
	for decimals, codes := range minorUnits {
		for code := range strings.FieldsSeq(codes) {
			index[[3]byte([]byte(code))] = currency{[]byte(code), decimals}
		}
	}
	return index
}

// currencyOf returns the ISO 4217 code that text is, in any case, and the
// decimals of its minor unit; or no code.
func currencyOf(text []byte) (code []byte, decimals int) {
	if len(text) != 3 {
		return nil, 0
	}
	key := [3]byte(text)
	for i, c := range key {
		if c >= 'a' && c <= 'z' {
			key[i] = c - 'a' + 'A'
		}
	}
	c := currencies[key]
	return c.code, c.decimals
}
