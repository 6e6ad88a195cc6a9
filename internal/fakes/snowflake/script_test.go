package snowflake

import (
	"strings"
	"testing"
)

func TestABlockReturnsItsValueAndCountsRows(t *testing.T) {
	_, a, _ := pair(t, Options{})
	wants(t, a, `DECLARE
  n INTEGER DEFAULT 2;
  seen INTEGER;
BEGIN
  START TRANSACTION;
  INSERT INTO T SELECT column1 FROM VALUES (7), (8);
  LET added := SQLROWCOUNT;
  SELECT COUNT(*) INTO :seen FROM T WHERE A >= :n;
  COMMIT;
  IF (seen = 0) THEN
    RETURN 'none';
  ELSEIF (seen = added) THEN
    RETURN 'as many as ' || added;
  ELSE
    RETURN 'more';
  END IF;
END;`, "as many as 2")
	wants(t, a, "BEGIN DELETE FROM T WHERE A > 1; END", "<nil>")
	wants(t, a, "EXECUTE IMMEDIATE $$BEGIN RETURN 5; END$$", "5")
}

func TestAnExceptionIsCaughtOrNamedWithItsPlace(t *testing.T) {
	w, a, b := pair(t, Options{})
	raising := `DECLARE
  lost EXCEPTION (-20001, 'a newer attempt owns the lane');
BEGIN
  START TRANSACTION;
  UPDATE T SET A = 3 WHERE A = 99;
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost;
  END IF;
  COMMIT;
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END`
	refuses(t, a, raising, -20001, "P0001): Uncaught exception of type 'LOST' on line 7 at position 4 : a newer attempt owns the lane")
	if w.OpenTransactions() != 0 {
		t.Error("the block left its transaction open")
	}
	wants(t, a, strings.Replace(raising, "    RAISE;\nEND", "    RETURN SQLCODE || ' ' || SQLERRM || ' ' || SQLSTATE;\nEND", 1), "-20001 a newer attempt owns the lane P0001")
	refuses(t, a, "BEGIN DELETE FROM NOWHERE; END", 2003, "Uncaught exception of type 'STATEMENT_ERROR' on line 1 at position 6 : SQL compilation error:\nObject 'NOWHERE' does not exist")
	wants(t, a, "BEGIN DELETE FROM NOWHERE; RETURN 1; EXCEPTION WHEN STATEMENT_ERROR THEN RETURN SQLCODE; END", "2003")
	refuses(t, a, "BEGIN START TRANSACTION; DELETE FROM T; END", 90232, "Scoped transaction started in stored procedure is incomplete")
	wants(t, b, "SELECT A FROM T", "1")
}

func TestABlockIsRefusedWholeBeforeItRuns(t *testing.T) {
	_, a, _ := pair(t, Options{})
	for text, sentence := range map[string]string{
		"BEGIN DELETE FROM T; END IF; END":                           "unexpected",
		"BEGIN DELETE FROM T; RETURN 1":                              "unexpected '<EOF>'",
		"BEGIN DELETE FROM T; FOR i IN 1 TO 2 DO NULL; END FOR; END": "does not model FOR",
		"BEGIN DELETE FROM T WHERE A = ?; END":                       "unexpected unnamed bind",
		"DECLARE e EXCEPTION (-1, 'x'); BEGIN DELETE FROM T; END":    "between -20999 and -20000",
	} {
		refuses(t, a, text, 1003, sentence)
	}
	refuses(t, a, "BEGIN IF (nope = 1) THEN DELETE FROM T; END IF; END", 904, "invalid identifier 'NOPE'")
	refuses(t, a, "BEGIN LET v := 1; DELETE FROM T WHERE A = v; END", 904, "invalid identifier 'V'") // without a colon, a column
	wants(t, a, "SELECT A FROM T", "1")
	wants(t, a, "BEGIN LET v := 1; DELETE FROM T WHERE A = :v; RETURN SQLROWCOUNT; END", "1")
}
