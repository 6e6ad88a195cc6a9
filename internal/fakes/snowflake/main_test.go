package snowflake

import (
	"os"
	"testing"

	sf "github.com/snowflakedb/gosnowflake"
)

func TestMain(m *testing.M) {
	if err := sf.GetLogger().SetLogLevel("off"); err != nil { // refusals are what is tested
		panic(err)
	}
	os.Exit(m.Run())
}
