package snowflake

import (
	"io"
	"os"
	"testing"

	sf "github.com/snowflakedb/gosnowflake"
)

func TestMain(m *testing.M) {
	sf.GetLogger().SetOutput(io.Discard) // refusals are what is tested
	os.Exit(m.Run())
}
