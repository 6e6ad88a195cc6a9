package formats

import (
	"strconv"
	"testing"
	"time"
)

func TestCastDate(t *testing.T) {
	for _, c := range []struct {
		order, value string
		want         any
		why          reason
	}{
		{"", "2018-02-07", "2018-02-07", castOK},
		{"", " 2018-2-7 ", "2018-02-07", castOK},
		{"", "20180207", "2018-02-07", castOK},
		{"", "2018-02-07T23:30:00-05:00", "2018-02-07", castOK}, // the day as written
		{"", "2018-02-07 23:30", "2018-02-07", castOK},
		{"", "Jun 12 1998", "1998-06-12", castOK},
		{"", "jun 12, 1998", "1998-06-12", castOK},
		{"", "June 1st, 1998", "1998-06-01", castOK},
		{"", "Sept. 3 2001", "2001-09-03", castOK},
		{"", "12 June 1998", "1998-06-12", castOK},
		{"", "12-Jun-1998", "1998-06-12", castOK},
		{"", "12. May 1998", "1998-05-12", castOK},
		{"", "3rd of August 2020", "2020-08-03", castOK},
		{"", "1998 Jun 12", "1998-06-12", castOK},
		{"", "1998-Jun-12", "1998-06-12", castOK},
		{"", "Friday, June 12, 1998", "1998-06-12", castOK},
		{"", "Fri, 12 Jun 1998 10:11:12 GMT", "1998-06-12", castOK},
		{"", "June 12, 1998 at 10:30 PM", "1998-06-12", castOK},
		{"", "0001-01-01", "0001-01-01", castOK},
		{"", "9999-12-31", "9999-12-31", castOK},
		{"", "2000-02-29", "2000-02-29", castOK},
		{"", "1900-02-29", nil, reasonNoSuchDay},
		{"", "2018-13-01", nil, reasonNoSuchDay},
		{"", "Feb 30 2018", nil, reasonNoSuchDay},
		{"", "0000-01-01", nil, reasonYear},
		{"", "12018-01-01", nil, reasonYear},
		{"", "Jun 12 19980", nil, reasonYear},
		{"", "12-Jun-98", nil, reasonTwoDigitYear},
		{"", "Jun 12 98", nil, reasonTwoDigitYear},
		{"", "98-06-12", nil, reasonTwoDigitYear},
		{"", "Sunday, 06-Nov-94 08:49:37 GMT", nil, reasonTwoDigitYear},
		{"", "01/31/2015", nil, reasonDateOrder},
		{"", "31.01.2015", nil, reasonDateOrder},
		{"", "2015/01/31", nil, reasonDateOrder},
		{"", "31-01-2015", nil, reasonDateOrder},
		{"MDY", "01/31/2015", "2015-01-31", castOK},
		{"MDY", "1.31.2015", "2015-01-31", castOK},
		{"MDY", "01-31-2015 10:00", "2015-01-31", castOK},
		{"MDY", "31/01/2015", nil, reasonNoSuchDay},
		{"MDY", "2015/01/31", nil, reasonOtherOrder},
		{"MDY", "01/31/15", nil, reasonTwoDigitYear},
		{"MDY", "Jun 12 1998", "1998-06-12", castOK},
		{"MDY", "2018-02-07", "2018-02-07", castOK},
		{"DMY", "31.01.2015", "2015-01-31", castOK},
		{"DMY", "03/04/2015", "2015-04-03", castOK},
		{"YMD", "2015/1/31", "2015-01-31", castOK},
		{"YMD", "31/01/2015", nil, reasonOtherOrder},
		{"YMD", "15.01.31", nil, reasonTwoDigitYear},
		{"MDY", "01/31.2015", nil, reasonNotDate},
		{"MDY", "01/2015", nil, reasonNotDate},
		{"", "2018-02", nil, reasonNotDate},
		{"", "2018", nil, reasonNotDate},
		{"", "2018-W05-3", nil, reasonNotDate},
		{"", "2018-037", nil, reasonNotDate},
		{"", "yesterday", nil, reasonNotDate},
		{"", "Juno 12 1998", nil, reasonNotDate},
		{"", "Jun12 1998", nil, reasonNotDate},
		{"", "2018-02-07x", nil, reasonNotDate},
		{"", "2018-02-07T", nil, reasonNotDate},
		{"", "-2018-02-07", nil, reasonNotDate},
		{"", "", nil, reasonEmpty},
		{"", "2018-02-07 25:00", nil, reasonNoSuchTime},
	} {
		cells, csv, why, _ := castOne(t, "DATE "+c.order, strconv.Quote(c.value))
		wantCSV, _ := c.want.(string)
		if cells[0] != c.want || csv != wantCSV || why != c.why.String() {
			t.Errorf("%q %s: %v, CSV %q, %q; want %v, %q", c.value, c.order, cells[0], csv, why, c.want, c.why)
		}
	}
	if cells, _, why, _ := castOne(t, "DATE", "20180207"); cells[0] != nil || why != reasonDateNumber.String() {
		t.Errorf("a number: %v, %q", cells[0], why)
	}
	if _, _, why, _ := castOne(t, "DATE", "{}"); why != reasonNotDate.String() {
		t.Errorf("an object: %q", why)
	}
}

func TestCastDateTime(t *testing.T) {
	for _, c := range []struct {
		value            string
		want             any
		csv              string
		assumed, inexact int64
		why              reason
	}{
		{"2018-02-07T01:26:13.840Z", "2018-02-07T01:26:13.84Z", "2018-02-07T01:26:13.840Z", 0, 0, castOK},
		{"2018-02-07T01:26:13.123456Z", "2018-02-07T01:26:13.123456Z", "2018-02-07T01:26:13.123456Z", 0, 0, castOK},
		{"2018-02-07T01:26:13,1234567Z", "2018-02-07T01:26:13.123456Z", "2018-02-07T01:26:13.123456Z", 0, 1, castOK},
		{"2018-02-07T01:26:13.1234560Z", "2018-02-07T01:26:13.123456Z", "2018-02-07T01:26:13.123456Z", 0, 0, castOK},
		{"2018-02-07T23:30:00-05:00", "2018-02-08T04:30:00Z", "2018-02-08T04:30:00Z", 0, 0, castOK},
		{"2018-02-07T23:30:00+0530", "2018-02-07T18:00:00Z", "2018-02-07T18:00:00Z", 0, 0, castOK},
		{"2018-02-07 23:30:00+02", "2018-02-07T21:30:00Z", "2018-02-07T21:30:00Z", 0, 0, castOK},
		{"20180207T012613Z", "2018-02-07T01:26:13Z", "2018-02-07T01:26:13Z", 0, 0, castOK},
		{"2018-02-07 01:26", "2018-02-07T01:26:00Z", "2018-02-07T01:26:00Z", 1, 0, castOK},
		{"2018-02-07 01:26 UTC", "2018-02-07T01:26:00Z", "2018-02-07T01:26:00Z", 0, 0, castOK},
		{"2018-02-07", "2018-02-07T00:00:00Z", "2018-02-07T00:00:00Z", 1, 0, castOK},
		{"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z", 0, 0, castOK},
		{"Wed, 07 Feb 2018 01:26:13 GMT", "2018-02-07T01:26:13Z", "2018-02-07T01:26:13Z", 0, 0, castOK},
		{"Wed, 07 Feb 2018 01:26:13 +0100", "2018-02-07T00:26:13Z", "2018-02-07T00:26:13Z", 0, 0, castOK},
		{"Wed Feb  7 01:26:13 2018", "2018-02-07T01:26:13Z", "2018-02-07T01:26:13Z", 1, 0, castOK},
		{"Wed Feb 7 01:26:13 UTC 2018", "2018-02-07T01:26:13Z", "2018-02-07T01:26:13Z", 0, 0, castOK},
		{"Wed Feb 07 2018 02:26:13 GMT+0100 (Central European Standard Time)", "2018-02-07T01:26:13Z", "2018-02-07T01:26:13Z", 0, 0, castOK},
		{"February 7, 2018, 12:05 AM", "2018-02-07T00:05:00Z", "2018-02-07T00:05:00Z", 1, 0, castOK},
		{"February 7, 2018 12:05:01pm", "2018-02-07T12:05:01Z", "2018-02-07T12:05:01Z", 1, 0, castOK},
		{"2018-02-07T01:26:13 EST", nil, "", 0, 0, reasonZone},
		{"2018-02-07T01:26:13+25:00", nil, "", 0, 0, reasonZone},
		{"2018-02-07T24:00:00Z", nil, "", 0, 0, reasonNoSuchTime},
		{"2016-12-31T23:59:60Z", nil, "", 0, 0, reasonNoSuchTime},
		{"Feb 7 2018 13:00 PM", nil, "", 0, 0, reasonNoSuchTime},
		{"0001-01-01T00:00:00+01:00", nil, "", 0, 0, reasonYear},
		{"9999-12-31T23:59:59-01:00", nil, "", 0, 0, reasonYear},
		{"2018-02-07T1", nil, "", 0, 0, reasonNotDate},
		{"2018-02-07T01:26:13Z.", nil, "", 0, 0, reasonNotDate},
		{"", nil, "", 0, 0, reasonEmpty},
	} {
		cells, csv, why, stats := castOne(t, "DATETIME", strconv.Quote(c.value))
		if cells[0] != c.want || csv != c.csv || why != c.why.String() || stats.AssumedUTC != c.assumed || stats.Inexact != c.inexact {
			t.Errorf("%q: %v, CSV %q, %q, %+v", c.value, cells[0], csv, why, stats)
		}
	}
	if cells, _, why, _ := castOne(t, "DATETIME", "1518000000"); cells[0] != nil || why != reasonDateNumber.String() {
		t.Errorf("a number: %v, %q", cells[0], why)
	}
}

func TestCalendarAgreesWithTime(t *testing.T) {
	day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for day.Year() <= 9999 {
		days := int(day.Unix() / 86400)
		if got := daysOf(day.Year(), int(day.Month()), day.Day()); got != days {
			t.Fatalf("%s: %d days, want %d", day, got, days)
		}
		if got := string(appendDate(nil, days)); got != day.Format("2006-01-02") {
			t.Fatalf("%d: %s, want %s", days, got, day.Format("2006-01-02"))
		}
		day = day.AddDate(0, 0, 1+day.Day()%7)
	}
}
