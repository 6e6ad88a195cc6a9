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

// currencies are by letterIndex; those without a code are none.
var currencies = indexCurrencies()

func indexCurrencies() (index [26 * 26 * 26]currency) {
	for decimals, codes := range minorUnits {
		for code := range strings.FieldsSeq(codes) {
			i, _ := letterIndex([]byte(code))
			index[i] = currency{[]byte(code), decimals}
		}
	}
	return index
}

// letterIndex numbers three letters, in any case.
func letterIndex(text []byte) (index int, ok bool) {
	if len(text) != 3 {
		return 0, false
	}
	for _, c := range text {
		if !isLetter(c) {
			return 0, false
		}
		index = index*26 + int(c|0x20-'a')
	}
	return index, true
}

// currencyOf returns the ISO 4217 code that text is, in any case, and the
// decimals of its minor unit; or no code.
func currencyOf(text []byte) (code []byte, decimals int) {
	i, ok := letterIndex(text)
	if !ok {
		return nil, 0
	}
	c := &currencies[i]
	return c.code, c.decimals
}
